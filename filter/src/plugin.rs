//! What outlives a request: the current map, the metrics, the responses
//! that are held back.
//!
//! All belong to the VM and not to a context. Streams keep the root context
//! they began with, and watches last for hours; with one map a VM a push
//! replaces what all of them hold, and the old map's memory is free at once.

use std::cell::{OnceCell, RefCell};

use discovery_map::{DiscoveryMap, Documents};

use crate::held::{Aged, Held};
use crate::host;
use crate::metrics::{self, Metrics};

thread_local! {
    // A VM has one thread.
    static MAP: RefCell<Option<Current>> = const { RefCell::new(None) };
    static METRICS: OnceCell<Metrics> = const { OnceCell::new() };
    static HELD: RefCell<Aged<Held>> = const { RefCell::new(Aged::new()) };
    // The stream that asked, by the question's token.
    static ASKING: RefCell<Aged<u32>> = const { RefCell::new(Aged::new()) };
}

/// What was pushed last.
#[derive(Debug)]
struct Current {
    map: DiscoveryMap,
    documents: Documents,
}

/// Runs with the current map, if there is one.
pub(crate) fn with_map<T>(f: impl FnOnce(Option<&DiscoveryMap>) -> T) -> T {
    MAP.with_borrow(|current| f(current.as_ref().map(|current| &current.map)))
}

/// Runs with the current map and its documents, if there is one.
pub(crate) fn with_documents<T>(f: impl FnOnce(Option<(&DiscoveryMap, &Documents)>) -> T) -> T {
    MAP.with_borrow(|current| f(current.as_ref().map(|current| (&current.map, &current.documents))))
}

/// Runs with the VM's metrics.
pub(crate) fn with_metrics<T>(f: impl FnOnce(&Metrics) -> T) -> T {
    METRICS.with(|metrics| f(metrics.get_or_init(Metrics::define)))
}

/// Remembers that the response of a stream is held back.
pub(crate) fn hold(context: u32, held: Held) {
    HELD.with_borrow_mut(|all| all.insert(context, held));
}

/// Why the response of a stream is held back, if it is; once.
pub(crate) fn release(context: u32) -> Option<Held> {
    HELD.with_borrow_mut(|all| all.take(context))
}

/// Remembers which stream asked a question.
pub(crate) fn asks(token: u32, context: u32) {
    ASKING.with_borrow_mut(|asking| asking.insert(token, context));
}

/// The stream that asked the question, once.
pub(crate) fn asked_by(token: u32) -> Option<u32> {
    ASKING.with_borrow_mut(|asking| asking.take(token))
}

/// Takes a pushed map into use, or refuses it whole. The answer depends on the
/// bytes alone: a map that the main thread accepted must not fail on a worker,
/// where nobody could refuse it any more.
pub(crate) fn configure() -> bool {
    match read(&host::configuration()) {
        Ok(current) => {
            with_metrics(|metrics| metrics.configured(&current.map));
            MAP.set(Some(current));
            host::tick_every(metrics::INTERVAL);
            true
        }
        Err(faults) => {
            log::error!("refused discovery map: {faults}");
            false
        }
    }
}

/// Reads a map and unpacks its documents, once for all requests.
fn read(json: &[u8]) -> Result<Current, String> {
    let mut map = DiscoveryMap::from_json(json).map_err(|faults| faults.to_string())?;
    let packed = map.take_packed();
    let documents = MAP.with_borrow(|current| match current {
        Some(current) => Documents::unpack(packed, &current.documents),
        None => Documents::unpack(packed, &Documents::default()),
    });
    let documents = documents.map_err(|error| error.to_string())?;
    Ok(Current { map, documents })
}
