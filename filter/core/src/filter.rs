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

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;

use discovery_map::{DiscoveryMap, Documents};
use identity::Claims;

use crate::bodies::Bodies;
use crate::budget::Budget;
use crate::extensions::Extensions;
use crate::host::{Host, StreamId};
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
    /// The 404s that are held back.
    pub(crate) held: AgedMap<StreamId, Held>,
    /// The streams whose server's document is read. The client of one that is forgotten gets a
    /// part of a document, which it cannot read.
    pub(crate) reading: AgedMap<StreamId, ()>,
    /// What has been read.
    pub(crate) bodies: Bodies,
    /// Whether this VM judges attempts.
    pub(crate) is_at_server: Cell<bool>,
    /// How many servers may still be asked again.
    pub(crate) budget: Budget,
}

/// What was pushed last.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) map: DiscoveryMap,
    /// The headers that no client may send.
    pub(crate) claims: Claims,
    pub(crate) documents: Documents,
    /// What servers' own documents added since.
    pub(crate) extensions: Extensions,
}

impl<H: Host> Filter<H> {
    /// A filter that has no map yet.
    pub const fn new(host: H) -> Self {
        Self {
            host,
            current: RefCell::new(None),
            metrics: OnceCell::new(),
            held: AgedMap::new(),
            reading: AgedMap::new(),
            bodies: Bodies::new(),
            is_at_server: Cell::new(false),
            budget: Budget::new(),
        }
    }

    /// The metrics, which are defined when first used.
    pub(crate) fn metrics(&self) -> &Metrics<H::Metric> {
        self.metrics.get_or_init(|| Metrics::define(&self.host))
    }

    /// Returns where this VM judges responses.
    pub(crate) fn phase(&self) -> Phase {
        if self.is_at_server.get() { Phase::Attempt } else { Phase::Client }
    }

    pub(crate) fn count(&self, event: Event) {
        self.metrics().count(&self.host, event);
    }
}

/// A 404 that is held back for its body.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) content_type: Vec<u8>,
    /// In bytes, if the server said so.
    pub(crate) content_length: Option<usize>,
    pub(crate) phase: Phase,
}

/// Where a response is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// At one attempt, before the proxy decides whether there is another.
    Attempt,
    /// On its way to the client.
    Client,
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
