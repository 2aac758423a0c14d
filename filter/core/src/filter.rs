//! The filter of one control plane in one VM, as what outlives a callback: the
//! current map, and the responses that are held back.
//!
//! None of it belongs to a stream or a configuration. Streams keep the
//! configuration that they began with, and watches last for hours; with one
//! map a control plane, a push replaces what all of them use, and the old map's
//! memory is free at once.
//!
//! The filter is not told when a stream ends (because the client left, say). So
//! its memory of streams is bounded by age: when many streams have come, those
//! before them are forgotten. A 404 that was forgotten goes on as it is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use discovery_map::{DiscoveryMap, Documents, Faults, Library};
use identity::Claims;
use routing::interest::ObservedNotFound;

use crate::allotment::Allotment;
use crate::bodies::Bodies;
use crate::budget::Budget;
use crate::extensions::Extensions;
use crate::host::{Host, StreamId};
use crate::metrics::{Event, Metrics, Summary};
use crate::skew_log::SkewLog;

/// How many streams it takes until older ones are forgotten; a control plane's filter
/// remembers at most twice as many.
pub const GENERATION: usize = 16 * 1024;

/// The filter of one control plane in one VM. Nothing in it is another's, so that no client of
/// one control plane can reach, use up or push out what is of another.
#[derive(Debug)]
pub(crate) struct Filter<H: Host> {
    pub(crate) host: H,
    /// The VM's.
    pub(crate) metrics: Rc<Metrics<H::Metric>>,
    /// The key of the evidence; `None` for streams of no known control plane.
    pub(crate) evidence: Option<Vec<u8>>,
    pub(crate) current: RefCell<Option<Current>>,
    /// The 404s that are held back.
    pub(crate) held: AgedMap<StreamId, Held>,
    /// The 404s that pass while they are looked at.
    pub(crate) observed: AgedMap<StreamId, Observed>,
    /// The streams whose server's document is read. The client of one that is forgotten gets a
    /// part of a document, which it cannot read.
    pub(crate) reading: AgedMap<StreamId, ()>,
    /// What has been read.
    pub(crate) bodies: Bodies,
    /// Where responses are judged.
    pub(crate) phase: Cell<Phase>,
    /// How many servers may still be asked again.
    pub(crate) budget: Budget,
    /// Whether the host was asked for a tick, and has not ticked yet.
    pub(crate) is_tick_due: Cell<bool>,
    /// The components that no server was new enough for.
    pub(crate) skew_log: SkewLog,
}

/// What the filters of a VM have in common.
#[derive(Debug, Default)]
pub(crate) struct Common {
    /// The merged documents of all maps.
    pub(crate) library: Library,
    /// How many bytes of what servers sent all of them keep.
    pub(crate) kept: Rc<Cell<usize>>,
}

/// What was pushed last.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) map: DiscoveryMap,
    pub(crate) summary: Summary,
    /// The headers that no client may send.
    pub(crate) claims: Claims,
    pub(crate) documents: Documents,
    /// What servers' own documents added since.
    pub(crate) extensions: Extensions,
}

impl Current {
    /// Reads a map, once for all requests.
    ///
    /// # Errors
    /// What is wrong with it. It depends on the bytes alone: a map that the main thread accepted
    /// must not fail on a worker, where nobody could refuse it any more.
    pub(crate) fn read(json: &[u8], common: &Common) -> Result<Self, Faults> {
        let mut map = DiscoveryMap::from_json(json)?;
        let documents = Documents::read(map.take_packed(), &common.library)?;
        let extensions = Extensions::new(Allotment::of(&common.kept));
        let claims = Claims::new(&map.identity);
        Ok(Self { summary: Summary::of(&map), map, claims, documents, extensions })
    }
}

impl<H: Host> Filter<H> {
    /// A filter that has no map yet.
    pub(crate) fn new(
        host: H,
        metrics: Rc<Metrics<H::Metric>>,
        common: &Common,
        phase: Phase,
        evidence: Option<Vec<u8>>,
    ) -> Self {
        Self {
            host,
            metrics,
            evidence,
            current: RefCell::new(None),
            held: AgedMap::new(),
            observed: AgedMap::new(),
            reading: AgedMap::new(),
            bodies: Bodies::new(Allotment::of(&common.kept)),
            phase: Cell::new(phase),
            budget: Budget::new(),
            is_tick_due: Cell::new(false),
            skew_log: SkewLog::default(),
        }
    }

    pub(crate) fn count(&self, event: Event) {
        self.metrics.count(&self.host, event);
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

/// A 404 that passes while it is looked at.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) not_found: ObservedNotFound,
    pub(crate) content_type: Vec<u8>,
    /// What has passed of the body; never longer than a type-level 404 can be.
    pub(crate) body: Vec<u8>,
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
