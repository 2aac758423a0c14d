//! The filter of one VM, as what outlives a callback: the current map, the
//! metrics, and the responses that are held back.
//!
//! None of it belongs to a stream or a configuration. Streams keep the
//! configuration that they began with, and watches last for hours; with one
//! map a VM a push replaces what all of them use, and the old map's memory is
//! free at once.

use std::cell::{OnceCell, RefCell};

use discovery_map::{DiscoveryMap, Documents};

use crate::held::{AgedMap, Held};
use crate::host::{CalloutToken, Host, StreamId};
use crate::metrics::{Event, Metrics};

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
