//! What the rules look at, and what they find: plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::bypass::Bypass;
use super::metrics::Metrics;
use crate::facts::{Envoys, Facts};

/// Everything that was found out.
#[derive(Clone, Debug)]
pub struct Examined {
    pub facts: Facts,
    pub envoys: Envoys,
    /// What `/readyz` of the companion says if it is not ready.
    pub not_ready: Option<String>,
    /// The companion's metrics, and the same some seconds later.
    pub metrics: [Metrics; 2],
    pub control_plane: ControlPlane,
    /// Host and port of the server that each kubeconfig of a component names, by file.
    pub kubeconfigs: BTreeMap<String, String>,
    /// Who asks API servers without Envoy, by their audit logs.
    pub bypass: Bypass,
    /// The time since 1970, in seconds.
    pub now: u64,
}

/// What the control plane says of itself. `None` where it does not say.
#[derive(Clone, Debug, Default)]
pub struct ControlPlane {
    /// Host and port of the kubeconfig's server.
    pub server: String,
    /// Host and port of each endpoint of the Service `default/kubernetes`.
    pub endpoints: BTreeSet<String>,
    /// The data of the ConfigMap `kube-system/extension-apiserver-authentication`.
    pub authentication: Option<BTreeMap<String, String>>,
    /// Whether the feature gate `UnauthenticatedHTTP2DOSMitigation` is on.
    pub mitigation: Option<bool>,
    /// How far the server's clock is at least from this machine's, in seconds.
    pub clock_difference: Option<u64>,
    /// What could not be examined, and why.
    pub unknown: Vec<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The rule that found it.
    pub rule: &'static str,
    /// What is wrong.
    pub problem: String,
    /// What it leads to.
    pub leads_to: &'static str,
    /// How to fix it.
    pub fix: String,
}
