//! Which types that are served today are missing where the control plane goes: at the newest servers, or at
//! the oldest ones after a rollback. Pure.
//!
//! While servers of both versions are in rotation, what they serve tells. Before the first and after the
//! last step of an upgrade all have one version, and the table of built-in types tells.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use api_discovery::MinorVersion;

use crate::builtin::{ApiType, Availability, BuiltIn, Release, other_versions};
use crate::facts::Peer;
use crate::types::Row;

/// Where the control plane goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Upgrade,
    Rollback,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'t> {
    pub direction: Direction,
    /// The version that the user names.
    pub to: Option<MinorVersion>,
    /// The table, if it counts.
    pub table: Option<&'t BuiltIn>,
}

/// A type that is missing there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing<'r> {
    pub row: &'r Row,
    /// Whether a flag turns it on there.
    pub is_optional: bool,
    /// The same resource in a version that is served there.
    pub successor: Option<&'r Row>,
}

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison<'r> {
    /// Where: servers, or a version of Kubernetes.
    pub at: String,
    pub missing: Vec<Missing<'r>>,
    /// Why the table could not tell.
    pub not_examined: Option<String>,
}

/// Compares what servers serve with what the control plane will serve. `None` if the table does not count,
/// and not both sides have a server in rotation.
///
/// # Errors
/// The version that the user names is not in the table, or in the other direction.
pub fn compare<'r>(
    rows: &'r [Row],
    peers: &[Peer],
    question: Question<'_>,
) -> Result<Option<Comparison<'r>>> {
    let versions = versions(peers);
    ensure_direction(&versions, question)?;
    let (by_servers, at) = of_servers(rows, peers, &versions, question.direction);
    let Some(table) = question.table else {
        let found = |missing| Comparison { at: at.to_owned(), missing, not_examined: None };
        return Ok(by_servers.map(found));
    };
    let tells = by_servers.is_some();
    let own = Comparison {
        at: at.to_owned(),
        missing: by_servers.unwrap_or_default(),
        not_examined: None,
    };
    if serving(peers).any(|peer| peer.minor_version.is_none()) {
        let reason = "the version of a server in rotation is not known".to_owned();
        return Ok(Some(Comparison { not_examined: Some(reason), ..own }));
    }
    if tells && question.to.is_none() {
        return Ok(Some(own));
    }
    let Some(to) = question.to.or_else(|| default_target(table, &versions, question.direction))
    else {
        let which = match question.direction {
            Direction::Upgrade => "next",
            Direction::Rollback => "previous",
        };
        let reason = format!("this kubectl-skew does not know the types of the {which} version");
        return Ok(Some(Comparison { not_examined: Some(reason), ..own }));
    };
    let from = versions.iter().filter(|version| match question.direction {
        Direction::Upgrade => **version < to,
        Direction::Rollback => **version > to,
    });
    let releases: Result<Vec<_>> = from.map(|version| table.release(*version)).collect();
    let (releases, target) = match (releases, table.release(to)) {
        (Ok(releases), Ok(target)) => (releases, target),
        (Err(error), _) | (_, Err(error)) if question.to.is_some() => return Err(error),
        (Err(error), _) | (_, Err(error)) => {
            return Ok(Some(Comparison { not_examined: Some(error.to_string()), ..own }));
        }
    };
    let mut missing = own.missing;
    for found in of_table(rows, &releases, target) {
        if !missing.iter().any(|known| known.row == found.row) {
            missing.push(found);
        }
    }
    Ok(Some(Comparison { at: format!("Kubernetes {to}"), missing, not_examined: None }))
}

/// Fails if the user names a version that is not ahead, or with a rollback, not behind.
fn ensure_direction(versions: &BTreeSet<MinorVersion>, question: Question<'_>) -> Result<()> {
    let (Some(to), Some(oldest), Some(newest)) = (question.to, versions.first(), versions.last())
    else {
        return Ok(());
    };
    match question.direction {
        Direction::Upgrade => ensure!(
            to >= *newest,
            "--to {to} is older than the newest server ({newest}): to go back, add --rollback"
        ),
        Direction::Rollback => ensure!(
            to <= *oldest,
            "--to {to} is newer than the oldest server ({oldest}): --rollback goes back"
        ),
    }
    Ok(())
}

fn serving(peers: &[Peer]) -> impl Iterator<Item = &Peer> {
    peers.iter().filter(|peer| peer.is_in_rotation())
}

/// Returns the versions of the servers that the control plane has, in rotation or not.
fn versions(peers: &[Peer]) -> BTreeSet<MinorVersion> {
    let present = peers.iter().filter(|peer| peer.is_present());
    present.filter_map(|peer| peer.minor_version).collect()
}

/// Returns the version after all that servers have, or the one before; that of the servers on the other
/// side if they differ.
fn default_target(
    table: &BuiltIn,
    versions: &BTreeSet<MinorVersion>,
    direction: Direction,
) -> Option<MinorVersion> {
    let (oldest, newest) = (*versions.first()?, *versions.last()?);
    match direction {
        Direction::Upgrade if oldest < newest => Some(newest),
        Direction::Upgrade => table.after(newest),
        Direction::Rollback if oldest < newest => Some(oldest),
        Direction::Rollback => table.before(oldest),
    }
}

/// Compares servers in rotation. `None` unless both sides have one.
fn of_servers<'r>(
    rows: &'r [Row],
    peers: &[Peer],
    versions: &BTreeSet<MinorVersion>,
    direction: Direction,
) -> (Option<Vec<Missing<'r>>>, &'static str) {
    let newest = versions.last().copied();
    let (newer, older): (Vec<&Peer>, Vec<&Peer>) =
        serving(peers).partition(|peer| peer.minor_version == newest);
    let (own, others, at) = match direction {
        Direction::Upgrade => (older, newer, "the newest servers"),
        Direction::Rollback => (newer, older, "the older servers"),
    };
    if own.is_empty() || others.is_empty() {
        return (None, at);
    }
    let is_of = |row: &Row, side: &[&Peer]| {
        row.served_by.iter().any(|name| side.iter().any(|peer| peer.name == *name))
    };
    let missing = rows.iter().filter(|row| is_stored(row) && is_of(row, &own));
    let missing = missing.filter(|row| !is_of(row, &others));
    let missing = missing.map(|row| Missing {
        row,
        is_optional: false,
        successor: other_versions(rows, &row.into()).find(|other| is_of(other, &others)),
    });
    (Some(missing.collect()), at)
}

/// Compares what is served today with a version of the table. Custom resources and aggregated APIs are in
/// no version of it, and stay.
fn of_table<'r>(
    rows: &'r [Row],
    from: &[Release<'_>],
    target: Release<'_>,
) -> impl Iterator<Item = Missing<'r>> {
    rows.iter().filter(|row| is_stored(row)).filter_map(move |row| {
        let api = ApiType::from(row);
        let is_built_in = from.iter().any(|release| release.of(&api) != Availability::Absent);
        let there = target.of(&api);
        let is_missing = is_built_in && there != Availability::On;
        is_missing.then(|| Missing {
            row,
            is_optional: there == Availability::Off,
            successor: other_versions(rows, &api)
                .find(|other| target.of(&ApiType::from(*other)) == Availability::On),
        })
    })
}

/// Returns whether objects can be listed: a subresource has none, and a type without a server cannot be
/// asked.
fn is_stored(row: &Row) -> bool {
    row.collection().is_some() && !row.served_by.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{Comparison, Direction, Missing, Question, compare};
    use crate::builtin::tests::table;
    use crate::facts::Peer;
    use crate::plan::changes::tests::row;
    use crate::plan::rollout::tests::peers;
    use crate::types::Row;

    fn names(comparison: &Comparison<'_>) -> Vec<String> {
        comparison.missing.iter().map(|Missing { row, .. }| row.name()).collect()
    }

    /// Compares with the next or the previous version of the table.
    fn by_table<'r>(rows: &'r [Row], peers: &[Peer], direction: Direction) -> Comparison<'r> {
        let table = table();
        let question = Question { direction, to: None, table: Some(&table) };
        compare(rows, peers, question).unwrap().unwrap()
    }

    fn rows(servers: &[&str]) -> Vec<Row> {
        vec![
            row("", "v1", "pods", servers),
            row("a.io", "v1", "bundles", servers),
            row("a.io", "v1alpha1", "bundles", servers),
            row("a.io", "v1alpha1", "wands", servers),
            row("b.io", "v1beta2", "addresses", servers),
            row("example.com", "v1", "widgets", servers),
        ]
    }

    #[test]
    fn before_an_upgrade_the_table_says_what_the_next_version_drops() {
        let rows = rows(&["a", "b"]);
        let both = peers(&[("a", "1.36"), ("b", "1.36")]);
        let found = by_table(&rows, &both, Direction::Upgrade);
        assert_eq!(found.at, "Kubernetes 1.37");
        assert_eq!(
            names(&found),
            ["a.io/v1alpha1 bundles", "a.io/v1alpha1 wands", "b.io/v1beta2 addresses"]
        );
        let successors = found.missing.iter().map(|one| one.successor.map(Row::name));
        assert_eq!(successors.collect::<Vec<_>>(), [Some("a.io/v1 bundles".into()), None, None]);
        let optional: Vec<_> = found.missing.iter().map(|one| one.is_optional).collect();
        assert_eq!(optional, [false, false, true]);
    }

    #[test]
    fn after_an_upgrade_the_table_says_what_a_rollback_would_strand() {
        let rows = rows(&["a", "b"]);
        let both = peers(&[("a", "1.37"), ("b", "1.37")]);
        let found = by_table(&rows, &both, Direction::Rollback);
        assert_eq!(
            (&*found.at, names(&found)),
            ("Kubernetes 1.36", vec!["a.io/v1 bundles".into()])
        );
        assert_eq!(found.missing[0].successor, None);
    }

    #[test]
    fn servers_of_both_versions_tell_by_what_they_serve() {
        let rows = [row("", "v1", "pods", &["a", "b"]), row("a.io", "v1", "bundles", &["b"])];
        let both = peers(&[("a", "1.36"), ("b", "1.37")]);
        let question = |direction| Question { direction, to: None, table: None };
        let found = compare(&rows, &both, question(Direction::Rollback)).unwrap().unwrap();
        assert_eq!(
            (&*found.at, names(&found)),
            ("the older servers", vec!["a.io/v1 bundles".into()])
        );
        let found = compare(&rows, &both, question(Direction::Upgrade)).unwrap().unwrap();
        assert_eq!((&*found.at, found.missing), ("the newest servers", vec![]));
    }

    #[test]
    fn while_the_newest_server_is_away_nothing_counts_as_dropped_by_it() {
        let rows = [row("", "v1", "pods", &["a"])];
        let mut both: Vec<Peer> = peers(&[("a", "1.36"), ("b", "1.37")]);
        both[1].state = discovery_map::PeerState::Unreachable;
        let found = by_table(&rows, &both, Direction::Upgrade);
        assert_eq!((&*found.at, found.missing), ("Kubernetes 1.37", vec![]));
    }

    #[test]
    fn a_version_that_the_table_lacks_is_not_examined_and_an_error_if_the_user_names_it() {
        let (table, rows) = (table(), rows(&["a"]));
        let one = peers(&[("a", "1.37")]);
        let question = |to: Option<&str>| Question {
            direction: Direction::Upgrade,
            to: to.map(|to| to.parse().unwrap()),
            table: Some(&table),
        };
        let found = compare(&rows, &one, question(None)).unwrap().unwrap();
        assert!(found.not_examined.unwrap().contains("the next version"));
        let error = compare(&rows, &one, question(Some("1.38"))).unwrap_err().to_string();
        assert!(error.contains("not of 1.38"), "{error}");
    }

    #[test]
    fn a_version_in_the_other_direction_is_an_error() {
        let (table, rows) = (table(), rows(&["a"]));
        let error = |direction, to: &str, server| {
            let question =
                Question { direction, to: Some(to.parse().unwrap()), table: Some(&table) };
            compare(&rows, &peers(&[("a", server)]), question).unwrap_err().to_string()
        };
        assert!(error(Direction::Upgrade, "1.36", "1.37").contains("add --rollback"));
        assert!(error(Direction::Rollback, "1.37", "1.36").contains("--rollback goes back"));
    }

    #[test]
    fn while_the_version_of_a_server_is_not_known_nothing_is_examined() {
        let rows = rows(&["a", "b"]);
        let both = peers(&[("a", "1.36"), ("b", "?")]);
        let found = by_table(&rows, &both, Direction::Upgrade);
        assert!(found.not_examined.unwrap().contains("version of a server"));
    }

    #[test]
    fn without_the_table_equal_servers_say_nothing() {
        let rows = rows(&["a", "b"]);
        let question = Question { direction: Direction::Rollback, to: None, table: None };
        let both = peers(&[("a", "1.37"), ("b", "1.37")]);
        assert_eq!(compare(&rows, &both, question).unwrap(), None);
    }
}
