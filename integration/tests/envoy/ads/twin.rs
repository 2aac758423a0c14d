//! Clients with certificates, over ADS: the twin of a cluster presents the front-proxy certificate
//! that Envoy has in a file of its own.

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::ads::{self, AdsSite};
use harness::fleet::Fleet;
use harness::manifests::POLICIES;
use pki::Pki;
use wire::capture::CapturedRequest;
use wire::client::{Client, ClientOptions, Http};

#[tokio::test]
async fn a_client_with_a_certificate_is_named_by_the_front_proxy_of_its_envoy() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let captures = fleet.captures().await?;
    let mut options = fleet.captured_stack_options(&captures)?;
    let front_proxies = Pki::create_as(fleet.folder().join("front-proxy"), "front-proxy-ca")?;
    let front_proxy = front_proxies.client("front-proxy-client", "front-proxy-client", &[])?;
    options.front_proxy = Some(front_proxy.clone());
    let site = AdsSite::new(options)?;
    let companion = site.companion("companion-1").await?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;

    let url = envoy.url("kubernetes").await?;
    let client = |certificate| {
        let (ca_pem, url) = (fleet.pki().ca_pem(), url.clone());
        Client::new(&ClientOptions { url, ca_pem, token: None, certificate, http: Http::Two })
    };
    let alice = fleet.pki().client("alice", "alice", &["dev"])?;
    // A type of all servers, and one of the second, which has a twin of its own.
    for path in ["/api/v1/namespaces/alice/pods", POLICIES] {
        client(Some(alice.clone()))?.get(path).await?;
        client(None)?.get(path).await?;
        let arrived: Vec<_> = captures
            .iter()
            .flat_map(|capture| capture.requests_of(|one| one.path == path.as_bytes()))
            .collect();
        let user = |one: &CapturedRequest| one.value("x-remote-user").map(<[u8]>::to_vec);
        let named = arrived.iter().find(|one| user(one).is_some()).context("nobody is named")?;
        ensure!(user(named).as_deref() == Some(b"alice"), "{named:?}");
        let own = front_proxy.certificate()?;
        ensure!(named.certificate.as_deref() == Some(own.as_ref()), "{path}: another certificate");
        let others: Vec<_> = arrived.iter().filter(|one| user(one).is_none()).collect();
        ensure!(!others.is_empty(), "{path}: the request without a certificate did not arrive");
        ensure!(others.iter().all(|one| one.certificate.is_none()), "{path}: {others:?}");
    }
    Ok(())
}
