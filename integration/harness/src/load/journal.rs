//! A record of the answers that the clients of a load saw.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use reqwest::Method;
use wire::client::Answer;

/// How an operation ended, after all retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With an answer.
    Answered {
        /// The status code.
        status: u16,
        /// Whether it is the 404 of a server that does not know the type.
        type_level_404: bool,
        /// Whether it has a `Retry-After`.
        retry_after: bool,
        /// The body, unless it is a success.
        body: String,
    },
    /// Without one: the connection broke.
    Broken(String),
}

/// One operation of one client.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The client's name for it.
    pub label: &'static str,
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// When it began.
    pub started: Instant,
    /// When its end was known.
    pub ended: Instant,
    /// How often it was sent.
    pub attempts: u32,
    /// How it ended.
    pub end: End,
}

impl Operation {
    /// Returns whether it succeeded.
    pub fn is_ok(&self) -> bool {
        matches!(self.end, End::Answered { status: 200..=299, .. })
    }

    /// Returns whether it is a 404 of a server that does not know the type.
    pub fn is_type_level_404(&self) -> bool {
        matches!(self.end, End::Answered { type_level_404: true, .. })
    }

    /// Returns whether it is a 503 that names a time to try again, with a `Status`.
    pub fn is_unavailable(&self) -> bool {
        match &self.end {
            End::Answered { status: 503, retry_after: true, body, .. } => {
                serde_json::from_str::<serde_json::Value>(body)
                    .is_ok_and(|body| body.get("kind").is_some_and(|kind| kind == "Status"))
            }
            _ => false,
        }
    }

    /// Returns whether the connection to the server broke when the request may have
    /// been executed: Envoy answers 503 without a `Retry-After` then, or
    /// breaks an answer that had begun.
    pub fn is_reset(&self) -> bool {
        matches!(self.end, End::Broken(_) | End::Answered { status: 503, retry_after: false, .. })
    }
}

impl End {
    pub(super) fn of(answer: &Result<Answer>) -> Self {
        match answer {
            Ok(answer) => Self::Answered {
                status: answer.status.as_u16(),
                type_level_404: answer.is_type_level_404(),
                retry_after: answer.header("retry-after").is_some(),
                body: if answer.status.is_success() { String::new() } else { answer.text() },
            },
            Err(error) => Self::Broken(format!("{error:?}")),
        }
    }
}

/// All that was seen so far.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    operations: Vec<Operation>,
    created: BTreeSet<String>,
    watched: BTreeSet<String>,
    watches_ended: usize,
}

impl Journal {
    /// Returns the operations for which `wanted` holds, in the order of their ends.
    pub fn operations(&self, wanted: impl Fn(&Operation) -> bool) -> Vec<Operation> {
        self.pages().operations.iter().filter(|operation| wanted(operation)).cloned().collect()
    }

    /// Returns the number of operations for which `wanted` holds.
    pub fn count(&self, wanted: impl Fn(&Operation) -> bool) -> usize {
        self.pages().operations.iter().filter(|operation| wanted(operation)).count()
    }

    /// Returns the number of operations at the end for which `wanted` holds, counted back
    /// to the first one for which it does not hold or that began before `since`;
    /// and that operation.
    pub fn row(
        &self,
        since: Instant,
        wanted: impl Fn(&Operation) -> bool,
    ) -> (usize, Option<Operation>) {
        let pages = self.pages();
        let counts = |operation: &Operation| operation.started >= since && wanted(operation);
        let position = pages.operations.iter().rev().position(|operation| !counts(operation));
        let row = position.unwrap_or(pages.operations.len());
        (row, pages.operations.iter().rev().nth(row).cloned())
    }

    /// Returns the objects that were created, and that no watcher has seen.
    pub fn unseen(&self) -> Vec<String> {
        let pages = self.pages();
        pages.created.difference(&pages.watched).cloned().collect()
    }

    /// Returns the number of watches that ended by themselves: informers silently start
    /// them again.
    pub fn watches_ended(&self) -> usize {
        self.pages().watches_ended
    }

    pub(super) fn note(&self, operation: Operation) {
        self.pages().operations.push(operation);
    }

    pub(super) fn note_created(&self, name: &str) {
        self.pages().created.insert(name.to_owned());
    }

    pub(super) fn note_watched(&self, name: &str) {
        self.pages().watched.insert(name.to_owned());
    }

    pub(super) fn note_watch_ended(&self) {
        self.pages().watches_ended += 1;
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
