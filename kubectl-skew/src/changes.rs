//! The last changes of a control plane, as `/v1/events` of a companion lists them: they tell since when
//! only one server serves a type.

use serde::Deserialize;

use crate::table::age;
use crate::types::Row;

/// A change. Kinds that do not matter here, or that later companions have, are not told apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    at_unix_seconds: u64,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Kind {
    /// Types came, went, or are served by other peers.
    Types {
        /// Who serves them now: `partly` is some peers in rotation.
        to: String,
        count: usize,
        /// The first of them, as `group/version/resource`.
        types: Vec<String>,
        #[serde(default)]
        peers: Vec<String>,
    },
    #[serde(other)]
    Other,
}

/// The changes that a companion keeps, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Changes(pub Vec<Change>);

/// Since when something is so, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    /// It was so when the changes begin that the companion keeps.
    Before(u64),
    At(u64),
}

impl Since {
    /// Returns how long that is, for people.
    pub fn text(self, now: u64) -> String {
        match self {
            Self::Before(at) => format!("for more than {}", age(now.saturating_sub(at))),
            Self::At(at) => format!("for {}", age(now.saturating_sub(at))),
        }
    }

    /// Returns the time if it is known.
    pub fn known(self) -> Option<u64> {
        match self {
            Self::Before(_) => None,
            Self::At(at) => Some(at),
        }
    }
}

impl Changes {
    /// Returns since when only this peer serves all of these types that only it serves: the earliest
    /// of their times. `None` if the changes do not tell.
    pub fn only_at<'r>(&self, peer: &str, rows: impl Iterator<Item = &'r Row>) -> Option<Since> {
        // Changes are about types, and not about single verbs.
        rows.filter(|row| row.verb.is_none()).filter_map(|row| self.of_type(peer, row)).min()
    }

    fn of_type(&self, peer: &str, row: &Row) -> Option<Since> {
        let slash = if row.group.is_empty() { "" } else { "/" };
        let name = format!("{}{slash}{}/{}", row.group, row.version, row.resource);
        for change in self.0.iter().rev() {
            let Kind::Types { to, count, types, peers } = &change.kind else { continue };
            let only_there = to == "partly" && *peers == [peer];
            let is_named = types.contains(&name);
            // A change of many types names the first of them only.
            let may_be_meant = only_there && *count > types.len();
            if is_named || may_be_meant {
                return only_there.then_some(Since::At(change.at_unix_seconds));
            }
        }
        self.0.first().map(|first| Since::Before(first.at_unix_seconds))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn changes(list: Value) -> Changes {
        Changes(serde_json::from_value(list).unwrap())
    }

    fn types(at: u64, to: &str, count: usize, types: &[&str], peers: &[&str]) -> Value {
        json!({
            "id": at, "atUnixSeconds": at, "message": "", "kind": "types", "from": "unknown", "to": to,
            "count": count, "types": types, "peers": peers,
        })
    }

    fn row(name: &str) -> Row {
        let (group_version, resource) = name.rsplit_once('/').unwrap();
        let (group, version) = group_version.rsplit_once('/').unwrap_or(("", group_version));
        Row {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            verb: None,
            namespaced: false,
            skewed: true,
            served_by: vec!["b".to_owned()],
            cluster: None,
        }
    }

    #[test]
    fn the_last_change_of_a_type_tells_since_when_only_one_peer_serves_it() {
        let all = changes(json!([
            { "atUnixSeconds": 10, "kind": "mapPublished", "generation": 1, "later": true },
            types(20, "partly", 1, &["x/v1/ones"], &["b"]),
            types(30, "everywhere", 1, &["x/v1/ones"], &[]),
            types(40, "partly", 2, &["x/v1/ones", "v1/twos"], &["b"]),
            types(50, "nowhere", 1, &["v1/threes"], &["a"]),
            { "atUnixSeconds": 60, "kind": "aKindOfALaterCompanion" },
        ]));
        let since = |names: &[&str]| {
            let rows: Vec<_> = names.iter().map(|name| row(name)).collect();
            all.only_at("b", rows.iter())
        };
        assert_eq!(since(&["x/v1/ones"]), Some(Since::At(40)));
        assert_eq!(since(&["v1/twos"]), Some(Since::At(40)));
        assert_eq!(since(&["x/v1/others"]), Some(Since::Before(10)));
        assert_eq!(since(&["x/v1/others", "x/v1/ones"]), Some(Since::Before(10)));
        // What was told last contradicts the map: a change came in between.
        assert_eq!(since(&["v1/threes"]), None);
        assert_eq!(Changes::default().only_at("b", [row("v1/twos")].iter()), None);
    }

    #[test]
    fn a_change_of_more_types_than_it_names_is_that_of_the_others_too() {
        let all = changes(json!([
            types(10, "partly", 1, &["x/v1/ones"], &["c"]),
            types(20, "partly", 30, &["x/v1/ones"], &["b"]),
        ]));
        assert_eq!(all.only_at("b", [row("z/v1/lasts")].iter()), Some(Since::At(20)));
        assert_eq!(all.only_at("c", [row("z/v1/lasts")].iter()), Some(Since::Before(10)));
    }

    #[test]
    fn a_time_is_told_as_an_age() {
        assert_eq!(Since::At(100).text(160), "for 60s");
        assert_eq!(Since::Before(100).text(700), "for more than 10m");
        assert_eq!((Since::At(1).known(), Since::Before(1).known()), (Some(1), None));
    }
}
