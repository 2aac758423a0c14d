//! Tests with Envoy, the companion and fake API servers. `docs/testing.md` says what each file tests.
//!
//! They are one program, for each waits far more than it computes, so that several run at once.

mod ads;
mod aggregated;
mod answering;
mod control_planes;
mod decision;
mod discovery;
mod doubt;
mod drain;
mod extended;
mod func_e;
mod gateways;
mod hostile;
mod hostile_clients;
mod identity;
mod images;
mod load_balancer;
mod merged;
mod metrics;
mod mirror;
mod open_api;
mod push;
mod rotation;
mod routing;
mod shadow;
mod shared_vm;
mod skew;
mod skew_policy;
mod stalled;
mod start;
mod streams;
mod tracing;
mod trap;
mod verbs;
