//! Control planes that panic, each where it can.

use std::time::Duration;

use serde_json::Value;

use super::fixture::Files;
use super::*;
use crate::ads::Envoys;
use crate::app::faults::{self, Place};
use crate::serve;

/// Returns what `/v1/control-planes` shows of one.
fn shown(all: &serve::ControlPlanes, name: &str) -> Value {
    let all = serde_json::to_value(all.shown()).unwrap();
    let found = all.as_array().unwrap().iter().find(|one| one["name"] == name);
    found.cloned().unwrap_or_default()
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A panic at this place ends the control plane, which is started again, and nothing else.
async fn survives(name: &str, place: Place) {
    let files = Files::new("");
    let (panics, config) = files.config(name);
    let mut known = Known::default();
    known.configs.insert(panics, config);
    known.configs.extend([files.config("other")]);
    let (_sender, known) = watch::channel(Arc::new(known));
    let shown_all = serve::ControlPlanes::default();
    let shared = Shared {
        snapshots: Snapshots::new(Envoys::default()),
        shown: shown_all.clone(),
        starts: Arc::new(Semaphore::new(1)),
        common: Common::new(1),
        progress: Progress::default(),
    };
    let many = Many { known, shared, running: BTreeMap::new(), tasks: JoinSet::new() };
    faults::arm(name, place);
    let companion = tokio::spawn(many.run());
    let is_stopped = |name: &str| shown(&shown_all, name)["state"] == "stopped";
    let goes_on = || {
        assert!(!companion.is_finished(), "it ended the companion");
        assert!(!is_stopped("other"), "{}", shown(&shown_all, "other"));
    };
    // The error stays; the state "stopped" may be over before this looks.
    let error = || shown(&shown_all, name)["lastError"].clone();
    until(|| {
        goes_on();
        !error().is_null()
    })
    .await;
    assert!(error().to_string().contains("panicked"), "{}", error());
    // It is started again, and holds up nobody's start.
    until(|| {
        goes_on();
        !is_stopped(name) && !shown(&shown_all, "other").is_null()
    })
    .await;
    companion.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_task_ends_only_the_control_plane_of_the_task() {
    survives("task", Place::Task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_at_the_start_of_the_tasks_ends_only_their_control_plane() {
    survives("start", Place::Start).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_while_files_are_read_ends_only_their_control_plane() {
    survives("read", Place::Read).await;
}
