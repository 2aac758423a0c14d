//! What outlives a callback: the current map, the metrics, and the responses
//! that are held back.
//!
//! All belong to the VM and not to a stream or a configuration. Streams keep
//! the configuration that they began with, and watches last for hours; with one
//! map a VM a push replaces what all of them use, and the old map's memory is
//! free at once.

use std::cell::{OnceCell, RefCell};

use discovery_map::{DiscoveryMap, Documents};

use crate::held::{AgedMap, Held};
use crate::host::{CalloutToken, Host, StreamId};
use crate::metrics::Metrics;

/// What outlives a callback.
#[derive(Debug)]
pub(crate) struct Memory<M> {
    pub(crate) current: RefCell<Option<Current>>,
    metrics: OnceCell<Metrics<M>>,
    held: RefCell<AgedMap<StreamId, Held>>,
    asking: RefCell<AgedMap<CalloutToken, StreamId>>,
}

/// What was pushed last.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) map: DiscoveryMap,
    pub(crate) documents: Documents,
}

impl<M: Copy> Memory<M> {
    pub(crate) const fn new() -> Self {
        Self {
            current: RefCell::new(None),
            metrics: OnceCell::new(),
            held: RefCell::new(AgedMap::new()),
            asking: RefCell::new(AgedMap::new()),
        }
    }

    /// The metrics, which are defined when first used.
    pub(crate) fn metrics(&self, host: &impl Host<Metric = M>) -> &Metrics<M> {
        self.metrics.get_or_init(|| Metrics::define(host))
    }

    /// Remembers that the response of a stream is held back.
    pub(crate) fn hold(&self, stream: StreamId, held: Held) {
        self.held.borrow_mut().insert(stream, held);
    }

    /// Forgets that the response of a stream is held back; returns why it was.
    pub(crate) fn release(&self, stream: StreamId) -> Option<Held> {
        self.held.borrow_mut().take(stream)
    }

    /// Remembers which stream waits for the answer to a query.
    pub(crate) fn asks(&self, token: CalloutToken, stream: StreamId) {
        self.asking.borrow_mut().insert(token, stream);
    }

    /// Forgets a query; returns the stream that waits for its answer.
    pub(crate) fn asked_by(&self, token: CalloutToken) -> Option<StreamId> {
        self.asking.borrow_mut().take(token)
    }
}
