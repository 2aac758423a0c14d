//! Every byte that an Envoy is sent, read between the companion and Envoy.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::ads::{self, is_served};
use harness::envoy::Envoy;
use harness::tap::{Tap, has, has_no_key};
use harness::wait;
use pki::CertificateFiles;
use serde_json::json;

use super::{DEADLINE, learns};

#[tokio::test]
async fn no_private_key_is_ever_sent() -> Result<()> {
    let (fleet, site) = ads::skewed().await?;
    // This companion also writes files, with all the keys in them.
    let pair = |files: &CertificateFiles| json!({ "certificateFile": files.certificate, "keyFile": files.key });
    let [front_proxy, next] = ["front-proxy", "next-front-proxy"]
        .map(|name| site.pki().client(name, "front-proxy-client", &[]));
    let (front_proxy, next) = (front_proxy?, next?);
    let [certificate, key] =
        ["crt", "key"].map(|extension| fleet.folder().join("current").with_extension(extension));
    let current = CertificateFiles { certificate, key };
    front_proxy.copy_to(fleet.folder(), "current")?;
    let companion = site
        .companion_of_both("companion-1", &pair(&site.options().server), &pair(&current))
        .await?;
    let pairs = [&site.companion_certificate(), &site.envoy_certificate()];
    let tap = Tap::start(companion.port, site.pki(), pairs).await?;
    let envoy = Envoy::start(site.envoy("envoy-1", [tap.port(); 2])?).await?;
    companion.wait_for_envoys(1).await?;
    let client = super::client(&fleet, &envoy).await?;
    is_served(&client).await?;

    // Not only at first: another key, and another map after it.
    next.copy_to(fleet.folder(), "current")?;
    let key = fs::read_to_string(&next.key)?;
    let line = key.lines().nth(1).context("no key")?;
    let published = site.options().folder.join("companion-1/published/sds");
    wait::until("the next key to be in a file", DEADLINE, async || {
        let mut files = fs::read_dir(&published)?;
        let found = files.any(|file| file.is_ok_and(|file| has_line(&file.path(), line)));
        ensure!(found, "no file has it");
        anyhow::Ok(())
    })
    .await?;
    learns(&fleet, &envoy, &client, "later.example.com").await?;

    ensure!(
        tap.has_seen("BEGIN CERTIFICATE") && tap.has_seen("kube-apiserver__front-proxy"),
        "the tap did not see every resource"
    );
    let own = site.companion_certificate();
    has_no_key(&tap.seen(), &[&site.options().server, &front_proxy, &next, &own])
}

fn has_line(file: &Path, line: &str) -> bool {
    fs::read(file).is_ok_and(|content| has(&content, line))
}
