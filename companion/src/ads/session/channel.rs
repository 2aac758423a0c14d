//! What an Envoy and a stream say about one type: what is asked for at all, and which push is
//! unanswered.

use std::collections::VecDeque;

use super::exchange::{MOST_BYTES, MOST_NAMES, TooManyNames};

/// A push to the Envoy that has something of these lanes.
#[derive(Debug)]
struct Unanswered {
    nonce: String,
    lanes: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Channel {
    /// Whether the Envoy has asked for anything of this type.
    pub asked: bool,
    /// Whether it asks for all of it.
    pub all: bool,
    /// Whether it has something of an earlier stream, and was sent nothing in this one.
    pub resumed: bool,
    names: usize,
    bytes: usize,
    last_nonce: String,
    unanswered: Option<Unanswered>,
    /// The lanes of each of the next pushes. Lanes without a refusal share a push, and a lane with a
    /// refusal gets a push of its own.
    groups: VecDeque<Vec<String>>,
}

impl Channel {
    /// Returns the nonce of the last push. Empty if there was none.
    pub fn last_nonce(&self) -> &str {
        &self.last_nonce
    }

    /// Returns whether another push may be sent.
    pub fn is_free(&self) -> bool {
        self.asked && self.unanswered.is_none()
    }

    /// Counts a name that it asks for.
    pub fn count(&mut self, name: &str) -> Result<(), TooManyNames> {
        self.names = self.names.saturating_add(1);
        self.bytes = self.bytes.saturating_add(name.len());
        if self.names > MOST_NAMES || self.bytes > MOST_BYTES { Err(TooManyNames) } else { Ok(()) }
    }

    /// Counts a name that it does not ask for any more.
    pub fn uncount(&mut self, name: &str) {
        self.names = self.names.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(name.len());
    }

    /// Returns the lanes of the push with this nonce, which is answered now. An answer to an earlier
    /// one says nothing.
    pub fn take_answered(&mut self, nonce: &str) -> Option<Vec<String>> {
        self.unanswered.take_if(|push| push.nonce == nonce).map(|push| push.lanes)
    }

    /// Remembers what is sent.
    pub fn send(&mut self, nonce: &str, lanes: Vec<String>) {
        nonce.clone_into(&mut self.last_nonce);
        self.resumed = false;
        self.unanswered = Some(Unanswered { nonce: nonce.to_owned(), lanes });
    }

    /// Sends these lanes again, in two pushes.
    pub fn divide(&mut self, mut lanes: Vec<String>) {
        let other = lanes.split_off(lanes.len() / 2);
        self.groups.push_front(other);
        self.groups.push_front(lanes);
    }

    /// Returns the lanes of the next push. If no pushes are planned, plans them: one with all healthy
    /// lanes, then one for each suspect.
    pub fn next_group(
        &mut self,
        healthy: Vec<String>,
        suspects: Vec<String>,
    ) -> Option<Vec<String>> {
        if self.groups.is_empty() {
            let suspects = suspects.into_iter().map(|lane| vec![lane]);
            self.groups.extend([healthy].into_iter().chain(suspects));
        }
        self.groups.pop_front()
    }
}
