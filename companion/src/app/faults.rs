//! Panics where a test wants one: a control plane has none that can be caused from outside.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::program::Tasks;

/// Where a control plane panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// While its files are read.
    Read,
    /// When its tasks have been started.
    Start,
    /// In one of its tasks.
    Task,
}

static ARMED: Mutex<BTreeSet<(String, Place)>> = Mutex::new(BTreeSet::new());

fn armed() -> MutexGuard<'static, BTreeSet<(String, Place)>> {
    ARMED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a control plane panic once.
pub fn arm(control_plane: &str, place: Place) {
    armed().insert((control_plane.to_owned(), place));
}

/// Panics if a test wants it.
pub fn reach(config: &Config, place: Place) {
    let key = (config.envoy.cluster_prefix.to_string(), place);
    assert!(!armed().remove(&key), "a test wants a panic: {place:?}");
}

/// Panics at the end of the start, or in a task, if a test wants it.
pub fn start(config: Arc<Config>, tasks: &mut Tasks) {
    reach(&config, Place::Start);
    tasks.add("fault", async move {
        reach(&config, Place::Task);
        std::future::pending().await
    });
}
