//! The upgrade, server by server: which ones are done, and which follow in which order.

use anyhow::{Result, bail, ensure};
use api_discovery::MinorVersion;
use serde::Serialize;

use crate::facts::Peer;

/// The servers of a control plane during an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// The oldest version that a server serves.
    pub from: MinorVersion,
    pub to: MinorVersion,
    /// Those that serve `to`, or a later version, already.
    pub done: Vec<String>,
    /// Those that follow, in order.
    pub pending: Vec<String>,
}

/// A server's turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub server: String,
    /// The number of servers that have the new version's types after it.
    pub upgraded: usize,
    /// The number of servers that still have the older version's types after it.
    pub remaining: usize,
}

/// When something is true in a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// It is true now.
    Now,
    /// Once this server is upgraded.
    After(String),
    /// Not even after all servers.
    Never,
}

impl Rollout {
    /// Plans an upgrade of these servers to a version. `order` names those that are first; the others
    /// follow as they are listed.
    ///
    /// # Errors
    /// A name is not that of a server to be upgraded, no server is older, or no server's version is
    /// known.
    pub fn new(peers: &[Peer], to: MinorVersion, order: &[String]) -> Result<Self> {
        let present = || peers.iter().filter(|peer| peer.is_present());
        let is_done = |peer: &&Peer| peer.minor_version.is_some_and(|version| version >= to);
        let names = |peers: Vec<&Peer>| peers.iter().map(|peer| peer.name.clone()).collect();
        let done = names(present().filter(is_done).collect());
        let older: Vec<String> = names(present().filter(|peer| !is_done(peer)).collect());
        ensure!(!older.is_empty(), "every server serves {to} or later already");
        let Some(from) = oldest(peers) else { bail!("no server's version is known") };
        if let Some(unknown) = order.iter().find(|name| !older.contains(name)) {
            bail!("--order: {unknown:?} must be a server to be upgraded: {}", older.join(", "));
        }
        let rest = older.iter().filter(|name| !order.contains(name));
        let mut pending: Vec<String> = Vec::new();
        for name in order.iter().chain(rest) {
            if !pending.contains(name) {
                pending.push(name.clone());
            }
        }
        Ok(Self { from, to, done, pending })
    }

    /// Returns the steps.
    pub fn steps(&self) -> Vec<Step> {
        let pending = self.pending.iter().enumerate();
        let step = |(position, server): (usize, &String)| Step {
            server: server.clone(),
            upgraded: self.done.len() + position + 1,
            remaining: self.pending.len() - position - 1,
        };
        pending.map(step).collect()
    }

    /// Returns when two servers have a type of the new version that these servers have already.
    pub fn two_serve(&self, served_by: &[String]) -> When {
        let is_present = |name: &&String| self.done.contains(name) || self.pending.contains(name);
        let mut count = served_by.iter().filter(is_present).count();
        if count > 1 {
            return When::Now;
        }
        for server in &self.pending {
            count += usize::from(!served_by.contains(server));
            if count > 1 {
                return When::After(server.clone());
            }
        }
        When::Never
    }

    /// Returns when no server has a type any more that the new version lacks.
    pub fn none_serves(&self, served_by: &[String]) -> When {
        let last = self.pending.iter().rfind(|name| served_by.contains(name));
        last.map_or(When::Now, |name| When::After(name.clone()))
    }
}

/// Returns the oldest version that a server serves.
pub fn oldest(peers: &[Peer]) -> Option<MinorVersion> {
    let present = peers.iter().filter(|peer| peer.is_present());
    present.filter_map(|peer| peer.minor_version).min()
}

#[cfg(test)]
pub mod tests {
    use super::{Rollout, Step, When};
    use crate::facts::{Peer, tests::facts};

    /// Returns servers of these names and versions.
    pub fn peers(servers: &[(&str, &str)]) -> Vec<Peer> {
        let known = facts();
        let peer = |(name, version): &(&str, &str)| Peer {
            name: (*name).to_owned(),
            minor_version: version.parse().ok(),
            ..known.peers[0].clone()
        };
        servers.iter().map(peer).collect()
    }

    fn plan(servers: &[(&str, &str)], order: &[&str]) -> anyhow::Result<Rollout> {
        let order: Vec<_> = order.iter().map(|name| (*name).to_owned()).collect();
        Rollout::new(&peers(servers), "1.37".parse().unwrap(), &order)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_new_type_has_two_servers_after_the_second_one_and_with_one_server_never() {
        let three = plan(&[("a", "1.36"), ("b", "1.36"), ("c", "1.36")], &[]).unwrap();
        assert_eq!(three.two_serve(&[]), When::After("b".to_owned()));
        let half = plan(&[("a", "1.37"), ("b", "1.36"), ("c", "1.36")], &[]).unwrap();
        assert_eq!(half.two_serve(&names(&["a"])), When::After("b".to_owned()));
        // Another one has it already, because a flag turned it on there.
        assert_eq!(half.two_serve(&names(&["a", "c"])), When::Now);
        assert_eq!(three.two_serve(&names(&["a"])), When::After("b".to_owned()));
        assert_eq!(three.two_serve(&names(&["b"])), When::After("a".to_owned()));
        let one = plan(&[("a", "1.36")], &[]).unwrap();
        assert_eq!(one.two_serve(&[]), When::Never);
    }

    #[test]
    fn a_removed_type_is_gone_after_the_last_server_that_has_it() {
        let three = plan(&[("a", "1.36"), ("b", "1.36"), ("c", "1.36")], &[]).unwrap();
        assert_eq!(three.none_serves(&names(&["a", "b", "c"])), When::After("c".to_owned()));
        assert_eq!(three.none_serves(&names(&["a"])), When::After("a".to_owned()));
        assert_eq!(three.none_serves(&[]), When::Now);
    }

    #[test]
    fn the_order_decides_the_steps() {
        let servers = [("a", "1.36"), ("b", "1.36"), ("c", "1.37"), ("d", "1.36")];
        let rollout = plan(&servers, &["d", "b"]).unwrap();
        assert_eq!((&rollout.done, &rollout.pending), (&names(&["c"]), &names(&["d", "b", "a"])));
        let step = |server: &str, upgraded, remaining| Step {
            server: server.to_owned(),
            upgraded,
            remaining,
        };
        assert_eq!(rollout.steps(), [step("d", 2, 2), step("b", 3, 1), step("a", 4, 0)]);
        assert_eq!(rollout.from.to_string(), "1.36");
    }

    #[test]
    fn there_must_be_something_to_upgrade() {
        let error = |servers: &[(&str, &str)], order: &[&str]| {
            plan(servers, order).unwrap_err().to_string()
        };
        assert!(error(&[("a", "1.37"), ("b", "1.38")], &[]).contains("already"));
        assert!(error(&[("a", "?")], &[]).contains("no server's version"));
        let faulty = error(&[("a", "1.37"), ("b", "1.36")], &["a"]);
        assert!(faulty.contains("\"a\" must be a server to be upgraded: b"), "{faulty}");
    }

    #[test]
    fn servers_that_left_do_not_count() {
        let mut all = peers(&[("a", "1.36"), ("b", "1.35"), ("c", "1.36")]);
        all[1].left = true;
        let rollout = Rollout::new(&all, "1.37".parse().unwrap(), &[]).unwrap();
        assert_eq!(rollout.pending, names(&["a", "c"]));
        assert_eq!(rollout.from.to_string(), "1.36");
    }
}
