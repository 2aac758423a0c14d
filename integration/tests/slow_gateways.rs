//! The shipped files for gateways on real controllers, a real Envoy and real control planes of two
//! versions. The controller runs on the control plane that it protects, as it may.
//!
//! ```text
//!   gateway.yaml, patch.yaml ─▶ kube-apiserver ─▶ Envoy Gateway, or istiod
//!                                                     │ listener, clusters
//!   clients ────────────────────────────────────▶ Envoy + filter ──▶ old, new
//!                                                     ▲ endpoints, map: files
//!                                                 companion
//! ```

use std::future::Future;

use anyhow::Result;
use harness::gateway::{EnvoyGateway, Gateway, Istiod};
use harness::namespace;

#[path = "slow_gateways/site.rs"]
mod site;
#[path = "slow_gateways/verdict.rs"]
mod verdict;

use site::Site;

/// The name of the Gateway, and of its namespace.
const NAME: &str = "kube-apiserver";

fn in_a_namespace<F: Future<Output = Result<()>>>(
    test: &str,
    run: impl FnOnce() -> F,
) -> Result<()> {
    if !namespace::enter(module_path!(), test)? {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())
}

#[test]
fn a_skewed_type_is_always_found_behind_envoy_gateway() -> Result<()> {
    in_a_namespace("a_skewed_type_is_always_found_behind_envoy_gateway", envoy_gateway)
}

async fn envoy_gateway() -> Result<()> {
    let site = Site::start(Gateway::Envoy, &EnvoyGateway::definitions()?).await?;
    let (admin, kubeconfig) = (site.admin()?, site.kubeconfig()?);
    let mut controller = EnvoyGateway::start(&admin, &kubeconfig, &site.folder("gateway")).await?;
    site.type_commands("Install", 6443)?;
    let envoy = controller.envoy(&admin, NAME).await?;
    verdict::is_good(&site, envoy, 6443, controller.process()).await
}

#[test]
fn a_skewed_type_is_always_found_behind_istio() -> Result<()> {
    in_a_namespace("a_skewed_type_is_always_found_behind_istio", istio)
}

async fn istio() -> Result<()> {
    let site = Site::start(Gateway::Istio, &Istiod::definitions()?).await?;
    let (admin, kubeconfig) = (site.admin()?, site.kubeconfig()?);
    let mut controller = Istiod::start(&admin, &kubeconfig, &site.folder("gateway")).await?;
    site.type_commands("Install", 8443)?;
    let envoy = controller.envoy(NAME, "kube-apiserver-gateway");
    verdict::is_good(&site, envoy, 8443, controller.process()).await
}
