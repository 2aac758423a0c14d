//! What the filter remembers of streams: which responses it holds back, and
//! until when.
//!
//! A stream that ends meanwhile (the client left) is not heard of again. So the
//! memory is bounded by age: when many streams have come, those that came
//! before them are forgotten. A 404 that was forgotten goes on as it is.

use std::collections::BTreeMap;

use routing::status::Encoding;

/// How many streams it takes until older ones are forgotten; a worker remembers
/// at most twice as many.
const GENERATION: usize = 16 * 1024;

/// What a 404 is held back for.
#[derive(Debug)]
pub(crate) enum Held {
    /// Its body tells what it is.
    ForItsBody {
        content_type: Vec<u8>,
        /// In bytes, where the server said so.
        content_length: Option<usize>,
    },
    /// The companion was asked whether it is true.
    ForTheCompanion {
        encoding: Encoding,
        /// Whether it goes on if there is no answer.
        passes_unanswered: bool,
    },
}

/// What is remembered by a number of the host's, which never comes again: what
/// is held back by its context, and the streams that wait for the companion by
/// the token of their question.
#[derive(Debug)]
pub(crate) struct Aged<T> {
    young: BTreeMap<u32, T>,
    old: BTreeMap<u32, T>,
}

impl<T> Aged<T> {
    pub(crate) const fn new() -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, number: u32, value: T) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(number, value);
    }

    pub(crate) fn take(&mut self, number: u32) -> Option<T> {
        self.young.remove(&number).or_else(|| self.old.remove(&number))
    }
}
