//! TLS configurations for the clients and servers of tests.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::CertificateFiles;

/// Returns the cryptography provider of all tests.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Returns a client that trusts the authority in `ca_pem` and offers
/// `protocols` (`h2`, `http/1.1`) by ALPN. Fails if the certificate or the
/// files cannot be read.
pub fn client(
    ca_pem: &str,
    files: Option<&CertificateFiles>,
    protocols: &[&str],
) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca_pem)?);
    let mut config = match files {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = read(files)?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// Returns a server that presents `files`, lets `clients` judge its clients, and
/// speaks HTTP/2 and HTTP/1.1. Fails if the files cannot be read.
pub fn server(
    files: &CertificateFiles,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig> {
    let (chain, key) = read(files)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns what demands of clients a certificate that the authority in `ca_pem`
/// signed; without an authority it demands nothing. Fails if the authority's
/// certificate cannot be read.
pub fn signed_by(ca_pem: Option<&str>) -> Result<Arc<dyn ClientCertVerifier>> {
    let Some(pem) = ca_pem else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let roots = Arc::new(roots(pem)?);
    Ok(WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?)
}

/// Returns a connection to the server on `port` of 127.0.0.1. Fails if none can
/// be made.
pub async fn connect(port: u16, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
    connect_as(port, config, "localhost").await
}

/// Returns a connection to the server on `port` of 127.0.0.1, asking for the server called `name`,
/// which must be in its certificate. Fails if none can be made.
pub async fn connect_as(
    port: u16,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(Arc::clone(config));
    Ok(connector.connect(ServerName::try_from(name)?.to_owned(), stream).await?)
}

/// Returns the certificate that the server on `port` of 127.0.0.1 presents.
/// Fails if no connection can be made, or the authority in `ca_pem` did not
/// sign it.
pub async fn presented(port: u16, ca_pem: &str) -> Result<CertificateDer<'static>> {
    let stream = connect(port, &Arc::new(client(ca_pem, None, &["http/1.1"])?)).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    Ok(certificates.and_then(<[_]>::first).context("no certificate")?.clone().into_owned())
}

fn roots(ca_pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.context("the CA certificate is not valid PEM")?)?;
    }
    Ok(roots)
}

fn read(
    files: &CertificateFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let explain = |path: &Path| format!("cannot read {}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .with_context(|| explain(&files.certificate))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).with_context(|| explain(&files.key))?;
    Ok((chain, key))
}
