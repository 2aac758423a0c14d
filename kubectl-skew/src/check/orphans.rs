//! Would taking a server down leave a type that no server in rotation serves?

use super::{Check, Finding, Verdict, listed, types};
use crate::changes::{Changes, Since};
use crate::facts::{Facts, Peer};
use crate::table::age;
use crate::types::{Row, rows, verb_rows};

/// No server has this name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no peer is called {0:?}: it must be one of {1}")]
pub struct NoSuchPeer(String, String);

/// What changed last, and the time, in seconds since 1970.
pub type History<'h> = (&'h Changes, u64);

/// Checks the server that is to be taken down; each one in rotation if none is named. What is known
/// must not be older than `max_age`, in seconds.
///
/// # Errors
/// No server has this name.
pub fn check(
    facts: &Facts,
    history: History<'_>,
    stop: Option<&str>,
    max_age: u64,
) -> Result<Vec<Finding>, NoSuchPeer> {
    let named = |peer: &&Peer| match stop {
        Some(name) => peer.name == name,
        None => peer.is_in_rotation(),
    };
    let peers: Vec<_> = facts.peers.iter().filter(named).collect();
    if let (Some(name), true) = (stop, peers.is_empty()) {
        let names: Vec<_> = facts.peers.iter().map(|peer| peer.name.clone()).collect();
        return Err(NoSuchPeer(name.to_owned(), names.join(", ")));
    }
    let rows: Vec<_> =
        rows(&facts.document).into_iter().chain(verb_rows(&facts.document)).collect();
    let mut findings: Vec<_> = unknown(facts, max_age).into_iter().collect();
    findings.extend(peers.iter().map(|peer| of_peer(facts, history, &rows, peer)));
    findings.extend(unavailable(facts, &rows));
    Ok(findings)
}

/// Returns why what is known does not suffice.
fn unknown(facts: &Facts, max_age: u64) -> Option<Finding> {
    let no = |subject: &str, reason: String| {
        Some(Finding::new(Check::Orphans, Verdict::No, subject, reason))
    };
    if !facts.document.complete {
        return no("", "the map is not complete: not every server has been read".to_owned());
    }
    let in_rotation = facts.peers.iter().filter(|peer| peer.is_in_rotation());
    if in_rotation.clone().next().is_none() {
        return no(
            "",
            "no server is ready: Envoy keeps those that were in rotation last".to_owned(),
        );
    }
    let old = |peer: &&Peer| peer.last_answer_seconds_ago.is_none_or(|at| at > max_age);
    let peer = in_rotation.into_iter().find(old)?;
    let since = peer.last_answer_seconds_ago.map_or("it never answered".to_owned(), |seconds| {
        format!("its last answer is {} old", age(seconds))
    });
    no(&peer.name, format!("the information about it is out of date: {since}"))
}

fn of_peer(facts: &Facts, (changes, now): History<'_>, rows: &[Row], peer: &Peer) -> Finding {
    let finding = |verdict, reason| Finding::new(Check::Orphans, verdict, &peer.name, reason);
    if !peer.is_in_rotation() && facts.document.rotation.contains(&peer.address) {
        let reason = "is not ready, but Envoy's map still has it in rotation".to_owned();
        return finding(Verdict::No, reason);
    }
    if !peer.is_in_rotation() {
        return finding(Verdict::Yes, "is out of rotation already".to_owned());
    }
    let count = facts.peers.iter().filter(|peer| peer.is_in_rotation()).count();
    if count == 1 {
        return finding(Verdict::No, "is the last server in rotation".to_owned());
    }
    let only_here = |row: &&Row| row.in_rotation(&facts.peers).iter().eq([&&*peer.name]);
    let orphans: Vec<_> = rows.iter().filter(only_here).map(Row::name).collect();
    let answered = age(peer.last_answer_seconds_ago.unwrap_or_default());
    if orphans.is_empty() {
        return finding(
            Verdict::Yes,
            "each of its types has another server in rotation".to_owned(),
        );
    }
    let since = changes.only_at(&peer.name, rows.iter().filter(only_here));
    let reason = format!(
        "only it serves {} ({}as of {answered} ago): {}",
        types(orphans.len()),
        since.map_or_else(String::new, |since| format!("{}, ", since.text(now))),
        listed(&orphans)
    );
    let since_unix_seconds = since.and_then(Since::known);
    Finding { types: orphans, since_unix_seconds, ..finding(Verdict::No, reason) }
}

/// Returns the types that have no server in rotation now.
fn unavailable(facts: &Facts, rows: &[Row]) -> Option<Finding> {
    let gone = rows.iter().filter(|row| row.cluster.is_none());
    let gone: Vec<_> = gone.collect();
    let names: Vec<_> = gone.iter().map(|row| row.name()).collect();
    let first = gone.first()?;
    let absent = |name: &String| facts.peers.iter().find(|peer| peer.name == *name);
    let since = first.served_by.iter().filter_map(absent).map(|peer| peer.absent_seconds).min();
    let since = age(since.unwrap_or_default());
    let subject = first.served_by.join(", ");
    let reason = format!(
        "{} without a server in rotation for {since} already: {}",
        types(names.len()),
        listed(&names)
    );
    let finding = Finding::new(Check::Orphans, Verdict::No, &subject, reason);
    Some(Finding { types: names, ..finding })
}
