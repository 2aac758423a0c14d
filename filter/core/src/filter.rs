//! The filter of one VM, as what outlives a callback: the current map, the
//! metrics, and the responses that are held back.
//!
//! None of it belongs to a stream or a configuration. Streams keep the
//! configuration that they began with, and watches last for hours; with one
//! map a VM a push replaces what all of them use, and the old map's memory is
//! free at once.
//!
//! The filter is not told when a stream ends (because the client left, say). So
//! its memory of streams is bounded by age: when many streams have come, those
//! before them are forgotten. A 404 that was forgotten goes on as it is.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use discovery_map::{DiscoveryMap, Documents};
use routing::status::Encoding;

use crate::host::{CalloutToken, Host, StreamId};
use crate::metrics::{Event, Metrics};

/// How many streams it takes until older ones are forgotten; a worker remembers
/// at most twice as many.
pub const GENERATION: usize = 16 * 1024;

/// The filter of one VM.
#[derive(Debug)]
pub struct Filter<H: Host> {
    pub(crate) host: H,
    pub(crate) current: RefCell<Option<Current>>,
    metrics: OnceCell<Metrics<H::Metric>>,
    /// Why the response of a stream is held back.
    pub(crate) held: AgedMap<StreamId, Held>,
    /// Which stream waits for the answer to an absence query.
    pub(crate) asking: AgedMap<CalloutToken, StreamId>,
}

/// What was pushed last.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) map: DiscoveryMap,
    pub(crate) documents: Documents,
}

impl<H: Host> Filter<H> {
    /// A filter that has no map yet.
    pub const fn new(host: H) -> Self {
        Self {
            host,
            current: RefCell::new(None),
            metrics: OnceCell::new(),
            held: AgedMap::new(),
            asking: AgedMap::new(),
        }
    }

    /// The metrics, which are defined when first used.
    pub(crate) fn metrics(&self) -> &Metrics<H::Metric> {
        self.metrics.get_or_init(|| Metrics::define(&self.host))
    }

    pub(crate) fn count(&self, event: Event) {
        self.metrics().count(&self.host, event);
    }
}

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
