//! The commands: each reads its facts, and writes its result.

pub mod bundle;
pub mod check;
pub mod doctor;
mod envoy;
pub mod explain;
pub mod pages;
pub mod plan;
pub mod show;
pub mod top;
mod usage;

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the time since 1970, in seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
