//! `kubectl skew doctor`: examines an installation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use http::Request;
use http::header::DATE;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::{Api, Client};

use super::now;
use crate::args::{Connection, Format};
use crate::companion::Companion;
use crate::control_plane::{described, endpoints, plain};
use crate::doctor::{Bypass, ControlPlane, Diagnosis, Examined, Metrics};
use crate::{kubeconfig, output};

/// The companion tries a file that it could not use again each second.
const PAUSE: Duration = Duration::from_millis(2_500);

const GATE: &str = "kubernetes_feature_enabled{name=\"UnauthenticatedHTTP2DOSMitigation\"";

#[derive(Clone, Debug, Default, Args)]
pub struct Doctor {
    /// The kubeconfig of a component, such as a controller manager, scheduler or kubelet, which should
    /// name Envoy; can be repeated.
    #[arg(long = "component-kubeconfig", value_name = "FILE")]
    component_kubeconfigs: Vec<PathBuf>,
    /// An audit log of an API server (audit.k8s.io/v1, one event in a line), which tells who does not use
    /// Envoy; can be repeated.
    #[arg(long = "audit-log", value_name = "FILE", requires = "envoy_addresses")]
    audit_logs: Vec<PathBuf>,
    /// An address from which an Envoy connects to API servers; can be repeated.
    #[arg(long = "envoy-address", value_name = "IP", requires = "audit_logs")]
    envoy_addresses: Vec<IpAddr>,
    /// How to write the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Doctor {
    /// Writes the diagnosis. Returns whether there is no problem.
    ///
    /// # Errors
    /// As [`Self::examine`].
    pub async fn run(&self, args: &Connection, out: &mut dyn Write) -> Result<bool> {
        let diagnosis = Diagnosis::of(&self.examine(args).await?);
        let text = output::render(self.output, &diagnosis, |_| diagnosis.text())?;
        out.write_all(text.as_bytes())?;
        Ok(diagnosis.problems.is_empty())
    }

    /// Examines everything.
    ///
    /// # Errors
    /// The companion cannot be reached, or a file cannot be read.
    pub async fn examine(&self, args: &Connection) -> Result<Examined> {
        let mut kubeconfigs = BTreeMap::new();
        for file in &self.component_kubeconfigs {
            kubeconfigs.insert(file.display().to_string(), server_in(file, args).await?);
        }
        let envoys: BTreeSet<_> = self.envoy_addresses.iter().copied().collect();
        let mut bypass = Bypass::default();
        for file in &self.audit_logs {
            bypass.read(file, &envoys)?;
        }
        let first = Companion::connect(args).await?.text("/metrics").await?.1;
        let control_plane = control_plane(args).await;
        tokio::time::sleep(PAUSE).await;
        // It closes a connection on which nothing was asked while the control plane did not answer.
        let mut companion = Companion::connect(args).await?;
        let (is_ready, readiness) = companion.text("/readyz").await?;
        Ok(Examined {
            facts: companion.facts().await?,
            envoys: companion.envoys().await?,
            not_ready: (!is_ready).then(|| readiness.trim().to_owned()),
            metrics: [Metrics(first), Metrics(companion.text("/metrics").await?.1)],
            control_plane,
            kubeconfigs,
            bypass,
            now: now(),
        })
    }
}

/// Returns host and port of the server that a component's kubeconfig names.
async fn server_in(file: &Path, args: &Connection) -> Result<String> {
    let of_component = Connection {
        kubeconfig: Some(file.to_owned()),
        context: None,
        cluster: None,
        user: None,
        ..args.clone()
    };
    let config = kubeconfig::config(&of_component).await;
    let config = config.with_context(|| format!("--component-kubeconfig: {}", file.display()))?;
    Ok(config.cluster_url.authority().map(ToString::to_string).unwrap_or_default())
}

/// Examines the control plane through the kubeconfig's server.
async fn control_plane(args: &Connection) -> ControlPlane {
    let mut found = ControlPlane::default();
    let config = match kubeconfig::config(args).await {
        Ok(config) => config,
        Err(error) => {
            found.unknown.push(format!("the control plane: {error:#}"));
            return found;
        }
    };
    found.server = config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
    let client = match Client::try_from(config) {
        Ok(client) => client,
        Err(error) => {
            found.unknown.push(format!("the control plane: {error}"));
            return found;
        }
    };
    match clock_difference(&client).await {
        Ok(difference) => found.clock_difference = Some(difference),
        Err(error) => found.unknown.push(format!("the API servers' clocks: {error:#}")),
    }
    match endpoints(client.clone()).await {
        Ok(endpoints) => found.endpoints = endpoints,
        Err(error) => found.unknown.push(format!("the endpoints of pods: {error:#}")),
    }
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    match maps.get("extension-apiserver-authentication").await {
        Ok(map) => found.authentication = Some(map.data.unwrap_or_default()),
        Err(error) => {
            let reason = described(&error);
            found.unknown.push(format!("the API servers' identity headers: {reason}"));
        }
    }
    match mitigation(&client).await {
        Ok(state) => found.mitigation = state,
        Err(error) => found.unknown.push(format!("feature gates: {error:#}")),
    }
    found
}

/// Returns how far the server's clock is at least from this machine's, in seconds. The time that the
/// answer takes does not count.
async fn clock_difference(client: &Client) -> Result<u64> {
    let asked = now();
    let response = client.send(Request::get("/version").body(Body::empty())?).await?;
    let date = response.headers().get(DATE).map(|value| value.to_str()).transpose()?;
    let date = date.ok_or_else(|| anyhow::anyhow!("the answer has no date"))?;
    let time = httpdate::parse_http_date(date)?.duration_since(std::time::UNIX_EPOCH)?;
    Ok(outside(time.as_secs(), asked..=now()))
}

/// Returns how far a time is from these, in seconds; 0 if it is one of them.
fn outside(time: u64, times: RangeInclusive<u64>) -> u64 {
    times.start().saturating_sub(time).max(time.saturating_sub(*times.end()))
}

/// Returns whether the gate is on, by the metrics of the server that answers. `None` if its version
/// does not have the gate any more, or not yet.
async fn mitigation(client: &Client) -> Result<Option<bool>> {
    let metrics = client.request_text(Request::get("/metrics").body(Vec::new())?).await;
    let metrics = metrics.map_err(plain).context("/metrics")?;
    let line = metrics.lines().find(|line| line.starts_with(GATE));
    Ok(line.map(|line| line.ends_with(" 1")))
}

#[cfg(test)]
mod tests {
    use super::outside;

    #[test]
    fn a_time_between_question_and_answer_is_no_difference_of_clocks() {
        assert_eq!([100, 115, 130].map(|time| outside(time, 100..=130)), [0; 3]);
        assert_eq!([70, 160].map(|time| outside(time, 100..=130)), [30; 2]);
    }
}
