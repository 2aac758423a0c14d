//! What is known of a source, and what its news change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::names;
use super::news::News;
use crate::config::{MAX_PEERS, PeerSource};
use crate::facts::Roster;

/// The kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    Static,
    Dns,
    EndpointSlices,
}

/// How a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SourceState {
    /// It has not said anything yet: its peers are those from before.
    Starting,
    /// Its peers are what it said last.
    Fresh,
    /// It fails or has no server: its peers are those from before.
    Failing,
}

/// A source as the endpoint shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    pub kind: SourceKind,
    pub state: SourceState,
    /// Since when it has been in this state.
    pub since_unix_seconds: u64,
    /// When it last said which servers there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_unix_seconds: Option<u64>,
    /// Why it fails, or failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    pub peers: Vec<SourcePeer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourcePeer {
    pub name: String,
    pub address: SocketAddr,
}

/// What the news change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    Nothing,
    /// The peers.
    Peers,
    /// It fails, or for another reason than before.
    Failed(String),
}

/// What is known of a source.
#[derive(Debug)]
pub(super) struct Standing {
    pub roster: Arc<Roster>,
    pub status: SourceStatus,
}

impl From<&PeerSource> for SourceKind {
    fn from(source: &PeerSource) -> Self {
        match source {
            PeerSource::Static(_) => Self::Static,
            PeerSource::Dns(_) => Self::Dns,
            PeerSource::EndpointSlices(_) => Self::EndpointSlices,
        }
    }
}

impl Standing {
    /// A source that has not said anything yet. `roster`: the peers from before.
    pub(super) fn new(kind: SourceKind, roster: &Roster, now: Duration) -> Self {
        let roster = Arc::new(Roster { fresh: false, ..roster.clone() });
        let status = SourceStatus {
            kind,
            state: SourceState::Starting,
            since_unix_seconds: now.as_secs(),
            last_success_unix_seconds: None,
            last_error: None,
            peers: shown(&roster),
        };
        Self { roster, status }
    }

    /// Takes a list that a person made: it is never wrong.
    pub(super) fn list(&mut self, roster: Roster, now: Duration) {
        self.succeed(now);
        self.set(roster);
    }

    /// Takes in what the source says.
    pub(super) fn take(&mut self, news: News, now: Duration) -> Change {
        let servers = match news {
            Ok(servers) if servers.is_empty() => return self.fail("it has no servers", now),
            Ok(servers) => servers,
            Err(error) => return self.fail(error, now),
        };
        let peers = names::peers(servers, &self.roster.peers);
        if peers.len() > MAX_PEERS {
            let count = peers.len();
            let problem = format!("it has {count} servers; at most {MAX_PEERS} are supported");
            return self.fail(problem, now);
        }
        self.succeed(now);
        let changed = (&self.roster.peers, self.roster.by_hand) != (&peers, false);
        self.set(Roster { peers, by_hand: false, fresh: true });
        if changed { Change::Peers } else { Change::Nothing }
    }

    fn set(&mut self, roster: Roster) {
        if *self.roster != roster {
            self.status.peers = shown(&roster);
            self.roster = Arc::new(roster);
        }
    }

    fn succeed(&mut self, now: Duration) {
        self.enter(SourceState::Fresh, now);
        self.status.last_success_unix_seconds = Some(now.as_secs());
    }

    fn fail(&mut self, problem: impl Into<String>, now: Duration) -> Change {
        let problem = problem.into();
        let known = self.status.state == SourceState::Failing
            && self.status.last_error.as_ref() == Some(&problem);
        self.enter(SourceState::Failing, now);
        self.set(Roster { fresh: false, ..(*self.roster).clone() });
        self.status.last_error = Some(problem.clone());
        if known { Change::Nothing } else { Change::Failed(problem) }
    }

    fn enter(&mut self, state: SourceState, now: Duration) {
        if self.status.state != state {
            self.status.state = state;
            self.status.since_unix_seconds = now.as_secs();
        }
    }
}

fn shown(roster: &Roster) -> Vec<SourcePeer> {
    let peers = roster.peers.iter();
    peers.map(|peer| SourcePeer { name: peer.name.to_string(), address: peer.address }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::news::Server;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn servers(ports: &[u16]) -> News {
        let server = |port: &u16| Server { name: None, address: ([10, 0, 0, 1], *port).into() };
        Ok(ports.iter().map(server).collect())
    }

    fn ports(standing: &Standing) -> Vec<u16> {
        standing.roster.peers.iter().map(|peer| peer.address.port()).collect()
    }

    fn with(found: &[u16]) -> Standing {
        let mut standing = Standing::new(SourceKind::Dns, &Roster::default(), SECOND);
        assert_eq!(standing.take(servers(found), SECOND), Change::Peers);
        standing
    }

    #[test]
    fn the_servers_of_the_source_become_the_peers() {
        let mut standing = with(&[1, 2]);
        assert_eq!(standing.take(servers(&[2, 3]), 2 * SECOND), Change::Peers);
        assert_eq!(ports(&standing), [2, 3]);
        assert_eq!(standing.take(servers(&[3, 2]), 3 * SECOND), Change::Nothing);
        assert_eq!(standing.status.since_unix_seconds, 1, "fresh all the time");
        assert_eq!(standing.status.last_success_unix_seconds, Some(3));
    }

    #[test]
    fn a_source_that_fails_keeps_the_last_peers_and_says_why_once() {
        let mut standing = with(&[1, 2]);
        let failed = |why: &str| Err(why.to_owned());
        assert_eq!(standing.take(failed("x"), 2 * SECOND), Change::Failed("x".to_owned()));
        assert_eq!(standing.take(failed("x"), 3 * SECOND), Change::Nothing);
        assert_eq!(standing.take(failed("y"), 4 * SECOND), Change::Failed("y".to_owned()));
        assert_eq!(ports(&standing), [1, 2]);
        assert!(!standing.roster.fresh);
        assert_eq!(standing.status.since_unix_seconds, 2);
        assert_eq!(standing.take(servers(&[1, 2]), 5 * SECOND), Change::Nothing);
        assert_eq!(standing.status.state, SourceState::Fresh);
        assert!(standing.roster.fresh);
        assert_eq!(standing.status.last_error.as_deref(), Some("y"));
    }

    #[test]
    fn an_empty_source_and_one_with_too_many_servers_keep_the_last_peers() {
        let mut standing = with(&[1]);
        let too_many: Vec<u16> = (1..).take(MAX_PEERS + 1).collect();
        for (found, problem) in [
            (servers(&[]), "it has no servers"),
            (servers(&too_many), &*format!("it has {} servers", MAX_PEERS + 1)),
        ] {
            let change = standing.take(found, SECOND);
            assert!(matches!(&change, Change::Failed(why) if why.starts_with(problem)));
            assert_eq!(ports(&standing), [1]);
        }
        assert_eq!(standing.take(servers(&too_many[1..]), SECOND), Change::Peers);
    }
}
