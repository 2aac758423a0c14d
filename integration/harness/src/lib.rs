//! The harness of the tests above unit level: everything real that they run,
//! and the peers that stand in for real ones.
//!
//! ```text
//!   tests/replay_*   replay peers only
//!   tests/envoy_*    func-e + Envoy + companion + replay peers
//!   tests/cluster_*  func-e + Envoy + companion + real control planes
//! ```
//!
//! Invariants:
//!
//! - Nothing outlives the test that started it: every child dies with its
//!   handle, and with the test process should that be killed (see [`process`]).
//! - Nothing sleeps for a fixed time to synchronise; [`wait`] polls a condition
//!   up to a deadline and says what it waited for when that passes.
//! - Tests run in parallel: ports are free ones, state is in a directory of the
//!   test's own.
//! - What is tested (Envoy, the filter, the companion, the control planes) is
//!   named by environment variables that the Makefile sets (see [`artefacts`]),
//!   so a test cannot run against a stale build.
//!
//! This library is test code, so its errors are [`anyhow::Error`] with the
//! context that a person reading a failed run needs.

pub mod artefacts;
pub mod companion;
pub mod control_plane;
pub mod envoy;
pub mod fleet;
pub mod kubeconfig;
pub mod load;
pub mod manifests;
pub mod measure;
pub mod ports;
pub mod process;
pub mod pushed;
pub mod recordings;
pub mod relay;
pub mod report;
pub mod site;
pub mod skew;
pub mod stack;
pub mod wait;
