//! A relay between Envoys and a companion that keeps every byte that Envoys are sent.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use pki::{CertificateFiles, Pki, TlsServer, tls};
use rustls::ClientConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Everything that passed towards Envoys.
type Seen = Arc<Mutex<Vec<u8>>>;

/// A relay; dropping it closes its port and all connections.
#[derive(Debug)]
pub struct Tap {
    server: TlsServer,
    seen: Seen,
}

impl Tap {
    /// Starts a relay to the companion at this port. It presents to Envoys what the companion
    /// presents, and to the companion what Envoys present; `pki` signed both. Fails if a file cannot
    /// be read.
    pub async fn start(
        companion: u16,
        pki: &Pki,
        [companion_files, envoy_files]: [&CertificateFiles; 2],
    ) -> Result<Self> {
        let clients = tls::signed_by(Some(&pki.ca_pem()))?;
        let server = Arc::new(tls::server(companion_files, clients)?);
        let client = Arc::new(tls::client(&pki.ca_pem(), Some(envoy_files), &["h2"])?);
        let seen = Seen::default();
        let kept = Arc::clone(&seen);
        let serve = move |stream| relay(stream, companion, Arc::clone(&client), Arc::clone(&kept));
        Ok(Self { server: TlsServer::start(0, server, serve).await?, seen })
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Returns whether this text was sent to an Envoy.
    pub fn has_seen(&self, text: &str) -> bool {
        has(&self.seen(), text)
    }

    /// Returns all bytes that were sent to Envoys.
    pub fn seen(&self) -> Vec<u8> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns whether this text is among these bytes.
pub fn has(bytes: &[u8], text: &str) -> bool {
    has_bytes(bytes, text.as_bytes())
}

fn has_bytes(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Fails if these bytes have any private key as PEM, or one of these keys as DER or as any line of
/// its PEM: the end of a frame may be within one line.
pub fn has_no_key(bytes: &[u8], files: &[&CertificateFiles]) -> Result<()> {
    ensure!(!has(bytes, "PRIVATE KEY"), "there is a private key");
    for CertificateFiles { key, .. } in files {
        let text = fs::read_to_string(key)?;
        let der = PrivateKeyDer::from_pem_slice(text.as_bytes())
            .with_context(|| format!("{} is no key", key.display()))?;
        // The last line may be so short that anything has it.
        let mut lines = text.lines().filter(|line| !line.contains('-') && line.len() > 32);
        let is_there = lines.any(|line| has(bytes, line)) || has_bytes(bytes, der.secret_der());
        ensure!(!is_there, "there is the private key of {}", key.display());
    }
    Ok(())
}

async fn relay(
    envoy: TlsStream<TcpStream>,
    companion: u16,
    client: Arc<ClientConfig>,
    seen: Seen,
) -> Result<()> {
    let companion = tls::connect_as(companion, &client, "companion").await?;
    let (mut from_envoy, mut to_envoy) = tokio::io::split(envoy);
    let (mut from_companion, mut to_companion) = tokio::io::split(companion);
    let up = tokio::io::copy(&mut from_envoy, &mut to_companion);
    let down = async {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = from_companion.read(&mut buffer).await?;
            let Some(read @ [_, ..]) = buffer.get(..length) else {
                return std::io::Result::Ok(());
            };
            seen.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
            to_envoy.write_all(read).await?;
        }
    };
    tokio::select! { _ = up => {}, _ = down => {} }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_found_with_and_without_its_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::create(folder.path()).unwrap();
        let [one, other] = ["one", "other"].map(|name| pki.for_any_purpose(name, name).unwrap());
        let key = fs::read_to_string(&one.key).unwrap();
        let certificate = fs::read(&one.certificate).unwrap();
        assert!(has(&certificate, "BEGIN CERTIFICATE"));
        has_no_key(&certificate, &[&one, &other]).unwrap();
        assert!(has_no_key(key.as_bytes(), &[]).is_err());
        let (_, base64) = key.split_once('\n').unwrap();
        let (base64, _) = base64.split_once("-----").unwrap();
        has_no_key(base64.as_bytes(), &[&other]).unwrap();
        assert!(has_no_key(base64.as_bytes(), &[&other, &one]).is_err());
        let last = base64.trim_end().lines().last().unwrap();
        assert!(has_no_key(last.as_bytes(), &[&one]).is_err());
        let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        has_no_key(der.secret_der(), &[&other]).unwrap();
        assert!(has_no_key(der.secret_der(), &[&one]).is_err());
    }
}
