//! An Envoy that is too old for the shipped configurations refuses them by name, or is refused: it
//! never serves clients without what protects them. `make test-envoys` runs this on each such Envoy.

use std::time::Duration;

use anyhow::{Result, ensure};
use fake_apiserver::Version;
use harness::ads::AdsCompanion;
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::shared_ingress::SharedIngress;
use harness::stack::Stack;
use harness::wait;
use serde_json::Value;

/// The field that such an Envoy lacks.
const FIELD: &str = "refresh_cluster_on_retry";

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn envoy_names_the_field_in_its_bootstrap() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let error = Stack::start(fleet.stack_options()?).await.err();
    let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(error.contains(FIELD), "Envoy started, or ended for another reason: {error}");
    Ok(())
}

#[tokio::test]
async fn a_companion_refuses_an_envoy_that_would_ignore_the_field() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ingress = SharedIngress::new(folder.path())?;
    let AdsCompanion { companion, port } = ingress.start_companion("companion").await?;
    // This bootstrap has no listener, so Envoy finds nothing wrong with it.
    let envoy = Envoy::spawn(ingress.envoy("envoy", port)?).await?;
    let refused = "ads_clients_refused_total{reason=\"version\"}";
    let log = folder.path().join("companion/companion.log");
    wait::until("a refusal", DEADLINE, async || {
        ensure!(companion.metric(refused).await? > 0, "none");
        // The log may be later than the counter.
        let log = std::fs::read_to_string(&log)?;
        ensure!(log.contains(FIELD), "the companion does not say why: {log}");
        anyhow::Ok(())
    })
    .await?;
    let state = envoy.admin("/config_dump?resource=dynamic_listeners").await?;
    let state: Value = serde_json::from_str(&state)?;
    ensure!(state.get("configs").is_none(), "Envoy has listeners: {state}");
    Ok(())
}
