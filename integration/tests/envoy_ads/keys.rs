//! Every byte that an Envoy is sent, read between the companion and Envoy.

use anyhow::{Result, ensure};
use harness::ads::{self, is_served};
use harness::envoy::Envoy;
use harness::tap::{Tap, has_no_key};
use pki::CertificateFiles;
use serde_json::json;

#[tokio::test]
async fn no_private_key_is_ever_sent() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    // This companion also writes files, with all the keys in them.
    let pair = |files: &CertificateFiles| json!({ "certificateFile": files.certificate, "keyFile": files.key });
    let front_proxy = site.pki().client("front-proxy", "front-proxy-client", &[])?;
    let companion = site
        .companion_of_both("companion-1", &pair(&site.options().server), &pair(&front_proxy))
        .await?;
    let pairs = [&site.companion_certificate(), &site.envoy_certificate()];
    let tap = Tap::start(companion.port, site.pki(), pairs).await?;
    let envoy = Envoy::start(site.envoy("envoy-1", [tap.port(); 2])?).await?;
    companion.wait_for_envoys(1).await?;
    is_served(&super::client(&fleet, &envoy).await?).await?;

    ensure!(
        tap.has_seen("BEGIN CERTIFICATE") && tap.has_seen("kube-apiserver__front-proxy"),
        "the tap did not see every resource"
    );
    let files = [&site.options().server, &front_proxy, &site.companion_certificate()];
    has_no_key(&tap.seen(), &files)
}
