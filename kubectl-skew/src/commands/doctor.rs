//! `kubectl skew doctor`: examines an installation.

use std::io::Write;
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
use crate::control_plane::{described, plain};
use crate::doctor::{ControlPlane, Diagnosis, Examined, Metrics};
use crate::{kubeconfig, output};

/// The companion tries a file that it could not use again each second.
const PAUSE: Duration = Duration::from_millis(2_500);

const GATE: &str = "kubernetes_feature_enabled{name=\"UnauthenticatedHTTP2DOSMitigation\"";

#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// How to write the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Doctor {
    /// Writes the diagnosis. Returns whether there is no problem.
    ///
    /// # Errors
    /// The companion cannot be reached.
    pub async fn run(&self, args: &Connection, out: &mut dyn Write) -> Result<bool> {
        let diagnosis = Diagnosis::of(&examine(args).await?);
        let text = output::render(self.output, &diagnosis, |_| diagnosis.text())?;
        out.write_all(text.as_bytes())?;
        Ok(diagnosis.problems.is_empty())
    }
}

/// Examines everything.
///
/// # Errors
/// The companion cannot be reached.
pub async fn examine(args: &Connection) -> Result<Examined> {
    let mut companion = Companion::connect(args).await?;
    let first = companion.text("/metrics").await?.1;
    let control_plane = control_plane(args).await;
    tokio::time::sleep(PAUSE).await;
    let (is_ready, readiness) = companion.text("/readyz").await?;
    Ok(Examined {
        facts: companion.facts().await?,
        envoys: companion.envoys().await?,
        not_ready: (!is_ready).then(|| readiness.trim().to_owned()),
        metrics: [Metrics(first), Metrics(companion.text("/metrics").await?.1)],
        control_plane,
        now: now(),
    })
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
    match time(&client).await {
        Ok(time) => found.time = Some(time),
        Err(error) => found.unknown.push(format!("the API servers' clocks: {error:#}")),
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

/// Returns the time of the server that answers, in seconds since 1970.
async fn time(client: &Client) -> Result<u64> {
    let response = client.send(Request::get("/version").body(Body::empty())?).await?;
    let date = response.headers().get(DATE).map(|value| value.to_str()).transpose()?;
    let date = date.ok_or_else(|| anyhow::anyhow!("the answer has no date"))?;
    let time = httpdate::parse_http_date(date)?.duration_since(std::time::UNIX_EPOCH)?;
    Ok(time.as_secs())
}

/// Returns whether the gate is on, by the metrics of the server that answers. `None` if its version
/// does not have the gate any more, or not yet.
async fn mitigation(client: &Client) -> Result<Option<bool>> {
    let metrics = client.request_text(Request::get("/metrics").body(Vec::new())?).await;
    let metrics = metrics.map_err(plain).context("/metrics")?;
    let line = metrics.lines().find(|line| line.starts_with(GATE));
    Ok(line.map(|line| line.ends_with(" 1")))
}
