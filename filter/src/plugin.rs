//! What outlives a request: the current map, the metrics, the watched streams.
//!
//! All belong to the VM and not to a context. Streams keep the root context
//! they began with, and watches last for hours; with one map a VM a push
//! replaces what all of them hold, and the old map's memory is free at once.

use std::cell::{OnceCell, RefCell};

use discovery_map::DiscoveryMap;

use crate::host;
use crate::metrics::Metrics;
use crate::watched::{Watch, Watched};

thread_local! {
    // A VM has one thread.
    static MAP: RefCell<Option<DiscoveryMap>> = const { RefCell::new(None) };
    static METRICS: OnceCell<Metrics> = const { OnceCell::new() };
    static WATCHED: RefCell<Watched> = const { RefCell::new(Watched::new()) };
}

/// Runs with the current map, if there is one.
pub(crate) fn with_map<T>(f: impl FnOnce(Option<&DiscoveryMap>) -> T) -> T {
    MAP.with_borrow(|map| f(map.as_ref()))
}

/// Runs with the VM's metrics.
pub(crate) fn with_metrics<T>(f: impl FnOnce(&Metrics) -> T) -> T {
    METRICS.with(|metrics| f(metrics.get_or_init(Metrics::define)))
}

/// Watches the response of a stream.
pub(crate) fn watch(context: u32, watch: Watch) {
    WATCHED.with_borrow_mut(|watched| watched.insert(context, watch));
}

/// Stops watching; what the stream was watched for, if it was.
pub(crate) fn unwatch(context: u32) -> Option<Watch> {
    WATCHED.with_borrow_mut(|watched| watched.take(context))
}

/// Takes a pushed map into use, or refuses it whole. The answer depends on the
/// bytes alone: a map that the main thread accepted must not fail on a worker,
/// where nobody could refuse it any more.
pub(crate) fn configure() -> bool {
    match DiscoveryMap::from_json(&host::configuration()) {
        Ok(map) => {
            with_metrics(|metrics| metrics.configured(&map));
            MAP.set(Some(map));
            true
        }
        Err(faults) => {
            log::error!("refused discovery map: {faults}");
            false
        }
    }
}
