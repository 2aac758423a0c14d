//! Tests on real control planes: etcd, kube-apiserver, kube-controller-manager, kubectl and
//! Kubernetes' own suite, of the two newest versions. `docs/testing.md` says what each file tests.
//!
//! They are one program, for each waits far more than it computes, so that several run at once.

mod answering;
mod chart;
mod control_plane;
mod control_planes;
mod crd;
mod discovery;
mod e2e;
mod exec;
mod garbage_collection;
mod hosted;
mod identity;
mod kubectl;
mod kubernetes_events;
mod matrix;
#[cfg(feature = "slow")]
mod metrics;
mod namespaces;
mod new_types;
mod node;
mod not_found;
mod old_discovery;
mod open_api;
mod outage;
mod removal;
mod requests;
mod rotation;
mod shadow;
mod skew;
mod skew_policy;
mod typed;
mod upgrade;
mod watches;
