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
    /// Its body tells what it is; the length is in bytes, if the server said so.
    ForBody { content_type: Vec<u8>, content_length: Option<usize> },
    /// The companion was asked whether it is true. The encoding is that of the
    /// 503, should it be one.
    ForCompanion { encoding: Encoding, passes_unanswered: bool },
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
