//! What the filter remembers of streams: which responses it holds back, and
//! until when.
//!
//! The filter is not told when a stream ends (because the client left, say). So
//! its memory is bounded by age: when many streams have come, those before them
//! are forgotten. A 404 that was forgotten goes on as it is.

use std::cell::RefCell;
use std::collections::BTreeMap;

use routing::status::Encoding;

/// How many streams it takes until older ones are forgotten; a worker remembers
/// at most twice as many.
pub const GENERATION: usize = 16 * 1024;

/// Why a 404 is held back.
#[derive(Debug)]
pub(crate) enum Held {
    /// Its body tells what it is.
    ForBody(HeldForBody),
    /// The companion was asked whether it is true.
    ForCompanion(HeldForCompanion),
}

/// A 404 until there is enough of its body.
#[derive(Debug)]
pub(crate) struct HeldForBody {
    pub(crate) content_type: Vec<u8>,
    /// In bytes, if the server said so.
    pub(crate) content_length: Option<usize>,
}

/// A 404 until the companion has answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldForCompanion {
    /// The encoding of the 503, should it be one.
    pub(crate) encoding: Encoding,
    /// Whether the 404 passes if there is no answer.
    pub(crate) passes_unanswered: bool,
}

/// What is remembered by numbers that the host never uses again.
#[derive(Debug)]
pub(crate) struct AgedMap<K, V> {
    young: RefCell<BTreeMap<K, V>>,
    old: RefCell<BTreeMap<K, V>>,
}

impl<K: Ord, V> AgedMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self { young: RefCell::new(BTreeMap::new()), old: RefCell::new(BTreeMap::new()) }
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut young = self.young.borrow_mut();
        if young.len() >= GENERATION {
            self.old.replace(std::mem::take(&mut young));
        }
        young.insert(key, value);
    }

    pub(crate) fn take(&self, key: K) -> Option<V> {
        let young = self.young.borrow_mut().remove(&key);
        young.or_else(|| self.old.borrow_mut().remove(&key))
    }
}
