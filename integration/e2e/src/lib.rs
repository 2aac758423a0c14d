//! Kubernetes' own end-to-end suite, run against Envoy in front of API servers
//! of two versions, with everything else of a cluster behind the same Envoy.
//!
//! ```text
//!   e2e.test (by ginkgo) ───┐
//!   kube-controller-manager ├──▶ Envoy + filter ──▶ older, newer ──▶ etcd
//!   kube-scheduler, KWOK ───┘
//! ```
//!
//! Then the specs that failed run once more, with the same objects in etcd and
//! everything connected to the newer server itself. A spec that fails through
//! Envoy and passes directly is a fault of this project; any other failure is
//! not.
//!
//! `selection.yaml` says which specs run. [`run`] does all of it.

mod cluster;
mod pair;
mod run;
mod selection;
mod spec;
mod suite;
mod summary;

pub use pair::Pair;
pub use run::{Form, Options, run};
pub use summary::Summary;
