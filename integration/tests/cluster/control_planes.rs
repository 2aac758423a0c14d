//! Two real control planes, each with servers of two versions, behind one Envoy and one companion.

use std::time::Duration;

use anyhow::Result;
use harness::envoy::Envoy;
use harness::shared_ingress::{LISTENER, SharedIngress};
use harness::wait;

#[path = "../envoy/control_planes/names.rs"]
mod names;
#[path = "../slow_control_planes/real.rs"]
mod real;

use real::Real;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn two_real_control_planes_share_an_envoy_and_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let ingress = SharedIngress::new(folder.path().join("ingress"))?;
    let all = [Real::start(&ingress, "a").await?, Real::start(&ingress, "b").await?];
    let companion = ingress.companion("companion-1").await?;
    let envoy = Envoy::start(ingress.envoy("envoy-1", companion.port)?).await?;
    for one in &all {
        wait::until("it to be served", DEADLINE, async || {
            one.is_served(envoy.listener_port(LISTENER).await?).await
        })
        .await?;
    }
    let port = envoy.listener_port(LISTENER).await?;
    real::are_separate(&all, port).await
}
