//! The changes that are kept, with the numbers by which a client goes on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::KEPT;
use super::change::Change;

/// A change that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Greater than that of every change before, also of an earlier run.
    pub id: u64,
    /// When it was noticed, in seconds since 1970.
    pub at_unix_seconds: u64,
    /// The change in words.
    pub message: String,
    /// The change.
    #[serde(flatten)]
    pub change: Change,
}

/// The last changes, the oldest first.
#[derive(Clone, Debug)]
pub struct Record {
    next: u64,
    entries: VecDeque<Arc<Entry>>,
}

/// The last changes of one control plane, which are added to. Clones share them.
#[derive(Clone, Debug)]
pub struct History(Arc<watch::Sender<Record>>);

impl Record {
    /// Returns the changes, the oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }

    /// Returns the number of the last change that there was; before the first, one that no change
    /// has.
    pub fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Returns the changes that a client misses whose last one is `last`. A client that claims to
    /// have more than there is has seen another run, and gets all.
    pub fn after(&self, last: u64) -> impl Iterator<Item = &Arc<Entry>> {
        let last = if last < self.next { last } else { 0 };
        self.entries.iter().skip_while(move |entry| entry.id <= last)
    }

    fn add(&mut self, now: Duration, change: Change) {
        let (id, message) = (self.next, change.to_string());
        self.next += 1;
        if self.entries.len() >= KEPT {
            self.entries.pop_front();
        }
        let entry = Entry { id, at_unix_seconds: now.as_secs(), message, change };
        self.entries.push_back(Arc::new(entry));
    }
}

impl History {
    /// Returns an empty history that begins `now`, since 1970. Its numbers begin with the
    /// milliseconds: no earlier run had a thousand changes each second, so that a client goes on
    /// over a restart.
    pub fn new(now: Duration) -> Self {
        let next = u64::try_from(now.as_millis()).unwrap_or(1).max(1);
        Self(Arc::new(watch::Sender::new(Record { next, entries: VecDeque::new() })))
    }

    /// Adds changes that were noticed `now`, since 1970.
    pub fn add(&self, now: Duration, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.0.send_modify(|record| {
            changes.into_iter().for_each(|change| record.add(now, change));
        });
    }

    /// Follows the history. The receiver learns of the end when the last clone is dropped.
    pub fn follow(&self) -> watch::Receiver<Record> {
        self.0.subscribe()
    }
}
