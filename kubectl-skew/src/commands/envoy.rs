//! What an Envoy's admin interface says of the filter.

use anyhow::{Context, Result, ensure};
use http::{StatusCode, Uri};

use crate::args::Timeout;
use crate::endpoint::{Answer, Endpoint, Who};
use crate::exposition::samples;

/// The filter's gauge of the map in use; 0 with maps of several control planes.
const GENERATION: &str = "mixed_version_proxy_map_generation";

/// Returns the metrics of an Envoy, in Prometheus' text format.
///
/// # Errors
/// It does not answer, or not with a success.
pub async fn metrics(url: &Uri, timeout: Timeout) -> Result<String> {
    const PATH: &str = "/stats/prometheus";
    let mut endpoint = Endpoint::at(url, Who::Envoy, timeout).await?;
    let Answer { status, body } = endpoint.get(PATH).await?;
    ensure!(status == StatusCode::OK, "{PATH} of Envoy at {url} answered {status}");
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Returns the generation of the map that an Envoy uses.
///
/// # Errors
/// It does not answer, or has no such metric: the filter is not loaded.
pub async fn map_generation(url: &Uri, timeout: Timeout) -> Result<u64> {
    let text = metrics(url, timeout).await?;
    let generation = samples(&text, GENERATION, "").find_map(|sample| sample.count());
    generation.with_context(|| format!("Envoy at {url} has no metric {GENERATION}"))
}
