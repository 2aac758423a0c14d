//! Which changes become Events, and what these say. Pure.

use crate::history::{Availability, Change, Entry};
use discovery_map::PeerState;

/// The longest note, in bytes (`NoteLengthLimit`, kubernetes/pkg/apis/core/validation/events.go).
const MOST_NOTE: usize = 1024;

/// How many types or Envoys a note names: it is one line of `kubectl get events`.
const MOST_NAMES: usize = 5;

/// How an Event is shown: its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// For information.
    Normal,
    /// Something may be wrong.
    Warning,
}

/// What an Event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub severity: Severity,
    /// Why there is an Event, for machines: a closed set.
    pub reason: &'static str,
    /// What the companion did about it, for machines: a closed set.
    pub action: &'static str,
    /// What tells this from others with the same reason: a peer, types, a version.
    pub subject: String,
    /// The change in words, at most [`MOST_NOTE`] bytes.
    pub note: String,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Returns what is told of a change; `None` of changes that happen in every deployment, such as a
/// new map or a new type.
pub(super) fn notice(entry: &Entry) -> Option<Notice> {
    use Severity::{Normal, Warning};
    let (severity, reason, action, subject) = match &entry.change {
        Change::AnsweringVersion { to, .. } => {
            let to = to.map_or("any".to_owned(), |version| version.to_string());
            (Normal, "AnsweringVersionSwitched", "SwitchVersion", to)
        }
        Change::PeerJoined { peer, address } => {
            (Normal, "PeerJoined", "FollowSource", format!("{peer} {address}"))
        }
        Change::PeerLeft { peer, address } => {
            (Normal, "PeerLeft", "FollowSource", format!("{peer} {address}"))
        }
        Change::PeerState { peer, to: PeerState::Serving, .. } => {
            (Normal, "PeerServing", "Poll", peer.clone())
        }
        // From one state in which it does not serve to the other, clients notice nothing.
        Change::PeerState { peer, from: PeerState::Serving, .. } => {
            (Warning, "PeerNotServing", "Poll", peer.clone())
        }
        Change::PeerVersion { peer, from: Some(_), to } => {
            (Normal, "PeerVersionChanged", "Poll", format!("{peer} {to}"))
        }
        Change::Types { from, to, types, .. } => {
            let (severity, reason) = types_reason(*from, *to)?;
            (severity, reason, "Route", types.join(" "))
        }
        Change::PublishFailed { reason } => (Warning, "PublishFailed", "Publish", reason.clone()),
        Change::Refused { resources, reason, .. } => {
            (Warning, "RefusedByEnvoy", "Publish", format!("{resources} {reason}"))
        }
        Change::PeerState { .. } | Change::PeerVersion { .. } | Change::MapPublished { .. } => {
            return None;
        }
    };
    let note = shortened(&with_fewer_names(&entry.change).to_string());
    Some(Notice { severity, reason, action, subject, note })
}

/// Returns what is told of types: only what clients notice, which is an orphaned type and its end.
fn types_reason(from: Availability, to: Availability) -> Option<(Severity, &'static str)> {
    match (from, to) {
        (_, Availability::Nowhere) => Some((Severity::Warning, "TypesOrphaned")),
        // From now on, a 404 passes, and the garbage collector believes it.
        (Availability::Nowhere, Availability::Unknown) => Some((Severity::Warning, "TypesGone")),
        (Availability::Nowhere, _) => Some((Severity::Normal, "TypesServedAgain")),
        _ => None,
    }
}

fn with_fewer_names(change: &Change) -> Change {
    let mut change = change.clone();
    if let Change::Types { types: names, .. } | Change::Refused { envoys: names, .. } = &mut change
    {
        names.truncate(MOST_NAMES);
    }
    change
}

/// Returns the beginning of a text, at most [`MOST_NOTE`] bytes of it.
fn shortened(text: &str) -> String {
    const MORE: &str = "…";
    if text.len() <= MOST_NOTE {
        return text.to_owned();
    }
    let mut end = MOST_NOTE.saturating_sub(MORE.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned() + MORE
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::History;

    /// What the history makes of a change.
    fn entry(change: Change) -> Entry {
        let history = History::new(Duration::ZERO);
        history.add(Duration::from_secs(1), vec![change]);
        let record = history.follow();
        let entry = record.borrow().all().next().map(|entry| (**entry).clone());
        entry.unwrap()
    }

    fn told(change: Change) -> Option<(&'static str, &'static str)> {
        notice(&entry(change)).map(|notice| (notice.severity.as_str(), notice.reason))
    }

    fn state(from: PeerState, to: PeerState) -> Change {
        Change::PeerState { peer: "a".to_owned(), from, to, reason: None }
    }

    fn types(from: Availability, to: Availability) -> Change {
        let (types, peers) = (vec!["apps/v1/deployments".to_owned()], vec!["a".to_owned()]);
        Change::Types { from, to, count: 1, types, peers }
    }

    #[test]
    fn a_peer_that_begins_or_stops_to_serve_is_told_and_how_it_fails_is_not() {
        use PeerState::{NotReady, Serving, Unreachable};
        assert_eq!(told(state(Serving, Unreachable)), Some(("Warning", "PeerNotServing")));
        assert_eq!(told(state(Serving, NotReady)), Some(("Warning", "PeerNotServing")));
        assert_eq!(told(state(NotReady, Serving)), Some(("Normal", "PeerServing")));
        assert_eq!(told(state(Unreachable, NotReady)), None);
    }

    #[test]
    fn orphaned_types_and_their_end_are_told_and_other_types_are_not() {
        use Availability::{Everywhere, Nowhere, Partly, Unknown};
        assert_eq!(told(types(Everywhere, Nowhere)), Some(("Warning", "TypesOrphaned")));
        assert_eq!(told(types(Unknown, Nowhere)), Some(("Warning", "TypesOrphaned")));
        assert_eq!(told(types(Nowhere, Partly)), Some(("Normal", "TypesServedAgain")));
        assert_eq!(told(types(Nowhere, Unknown)), Some(("Warning", "TypesGone")));
        for (from, to) in [(Unknown, Everywhere), (Everywhere, Partly), (Partly, Unknown)] {
            assert_eq!(told(types(from, to)), None, "{from:?} {to:?}");
        }
    }

    #[test]
    fn a_published_map_and_a_first_version_are_not_told() {
        let map = Change::MapPublished { generation: 1, complete: true, skewed_types: 0 };
        assert_eq!(told(map), None);
        let version = |from| Change::PeerVersion { peer: "a".into(), from, to: "v1.37.0".into() };
        assert_eq!(told(version(None)), None);
        let changed = version(Some("v1.36.0".into()));
        assert_eq!(told(changed), Some(("Normal", "PeerVersionChanged")));
    }

    #[test]
    fn a_note_says_the_change_and_fits_into_an_event() {
        let refused = |reason: String| Change::Refused {
            resources: "filter",
            reason,
            count: 1,
            envoys: vec!["one".to_owned()],
        };
        let short = notice(&entry(refused("bad".to_owned()))).unwrap();
        assert_eq!(short.note, "filter refused by 1 Envoy (one): bad");
        let types = Change::Types {
            from: Availability::Partly,
            to: Availability::Nowhere,
            count: 7,
            types: (1..=7).map(|n| format!("v1/t{n}")).collect(),
            peers: vec!["b".to_owned()],
        };
        let expected = "7 types (v1/t1, v1/t2, v1/t3, v1/t4, v1/t5 and 2 more) orphaned: \
                        no peer in rotation serves them; last served by b";
        assert_eq!(notice(&entry(types)).unwrap().note, expected);
        let long = notice(&entry(refused("é".repeat(2_000)))).unwrap();
        assert!(long.note.len() <= MOST_NOTE && long.note.ends_with("é…"), "{}", long.note.len());
    }
}
