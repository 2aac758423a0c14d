//! What outlives a request: the current map and the metrics.
//!
//! Both belong to the VM and not to a context. Streams keep the root context
//! they began with, and watches last for hours; with one map a VM a push
//! replaces what all of them hold, and the old map's memory is free at once.

use std::cell::{OnceCell, RefCell};

use discovery_map::DiscoveryMap;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::host;
use crate::metrics::Metrics;
use crate::stream::Stream;

thread_local! {
    // A VM has one thread.
    static MAP: RefCell<Option<DiscoveryMap>> = const { RefCell::new(None) };
    static METRICS: OnceCell<Metrics> = const { OnceCell::new() };
}

/// Runs with the current map, if there is one.
pub(crate) fn with_map<T>(f: impl FnOnce(Option<&DiscoveryMap>) -> T) -> T {
    MAP.with_borrow(|map| f(map.as_ref()))
}

/// Runs with the VM's metrics.
pub(crate) fn with_metrics<T>(f: impl FnOnce(&Metrics) -> T) -> T {
    METRICS.with(|metrics| f(metrics.get_or_init(Metrics::define)))
}

/// The root context; a new one for each configuration.
pub(crate) struct Plugin;

impl Context for Plugin {}

impl RootContext for Plugin {
    /// Takes a pushed map into use, or refuses it whole. The answer depends on
    /// the bytes alone: a map that the main thread accepted must not fail on a
    /// worker, where nobody could refuse it any more.
    fn on_configure(&mut self, _: usize) -> bool {
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

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new()))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
