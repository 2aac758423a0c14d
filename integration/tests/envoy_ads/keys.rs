//! Every byte that an Envoy is sent, read between the companion and Envoy.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use harness::ads::{AdsSite, loopback};
use harness::envoy::Envoy;
use harness::simulated::tls;
use pki::CertificateFiles;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{fleet, is_served};

/// Everything that passed towards Envoy.
type Seen = Arc<Mutex<Vec<u8>>>;

#[tokio::test]
async fn no_private_key_is_ever_sent() -> Result<()> {
    let (fleet, site) = fleet().await?;
    // This companion also writes files, with all the keys in them.
    let pair = |files: &CertificateFiles| json!({ "certificateFile": files.certificate, "keyFile": files.key });
    let front_proxy = site.pki().client("front-proxy", "front-proxy-client", &[])?;
    let companion = site
        .companion_of_both("companion-1", &pair(&site.options().server), &pair(&front_proxy))
        .await?;
    let seen = Seen::default();
    let relay = relay(&site, companion.port, Arc::clone(&seen)).await?;
    let envoy = Envoy::start(site.envoy("envoy-1", [relay; 2])?).await?;
    companion.wait_for_envoys(1).await?;
    is_served(&super::client(&fleet, &envoy).await?).await?;

    let seen = seen.lock().map_err(|_| anyhow::anyhow!("the relay failed"))?.clone();
    let has = |text: &str| seen.windows(text.len()).any(|window| window == text.as_bytes());
    ensure!(has("BEGIN CERTIFICATE") && has("kube-apiserver__front-proxy"), "it did not see all");
    ensure!(!has("PRIVATE KEY"), "a private key was sent");
    for files in [&site.options().server, &front_proxy, &site.companion_certificate()] {
        let key = std::fs::read_to_string(&files.key)?;
        let line = key.lines().nth(1).context("no key")?;
        ensure!(!has(line), "a private key was sent");
    }
    Ok(())
}

/// Relays between an Envoy and a companion, and keeps what it reads from the companion. Returns its
/// port.
async fn relay(site: &AdsSite, companion: u16, seen: Seen) -> Result<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.pki().ca_file())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let files = site.companion_certificate();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(vec![files.certificate()?], PrivateKeyDer::from_pem_file(&files.key)?)?;
    server.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let connector = TlsConnector::from(tls(site, &site.envoy_certificate())?);
    let listener = TcpListener::bind(loopback(0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, connector, seen) = (acceptor.clone(), connector.clone(), seen.clone());
            tokio::spawn(async move {
                let client = acceptor.accept(client).await?;
                let stream = TcpStream::connect(loopback(companion)).await?;
                let server = connector.connect(ServerName::try_from("companion")?, stream).await?;
                let (mut from_client, mut to_client) = tokio::io::split(client);
                let (mut from_server, mut to_server) = tokio::io::split(server);
                let up = tokio::io::copy(&mut from_client, &mut to_server);
                let down = async {
                    let mut buffer = vec![0; 16 << 10];
                    loop {
                        let length = from_server.read(&mut buffer).await?;
                        if length == 0 {
                            return std::io::Result::Ok(());
                        }
                        if let Ok(mut seen) = seen.lock() {
                            seen.extend(&buffer[..length]);
                        }
                        to_client.write_all(&buffer[..length]).await?;
                    }
                };
                tokio::select! { _ = up => {}, _ = down => {} }
                anyhow::Ok(())
            });
        }
    });
    Ok(port)
}
