//! Capturing servers, a stack as shipped in front of them, and its clients.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use fake_apiserver::Version;
use harness::fleet::Fleet;
use harness::stack::StackOptions;
use harness::wait;
use pki::{CertificateFiles, Pki};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use wire::capture::{Capture, CapturedRequest};
use wire::raw::Raw;

use super::corpus::{self, Who};
use super::judge::Expected;
use super::run::Clients;

const CREDENTIAL_ID: &str = "x-remote-extra-authentication.kubernetes.io%2fcredential-id";

const DEADLINE: Duration = Duration::from_secs(30);

/// Capturing servers behind one configuration, and everyone's certificates.
pub struct Site {
    pub fleet: Fleet,
    pub captures: Vec<Capture>,
    pub front_proxy: CertificateFiles,
    low: CertificateFiles,
}

impl Site {
    pub async fn start() -> Result<Self> {
        let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
        let captures = fleet.captures().await?;
        let front_proxy = Pki::create_as(fleet.folder().join("front-proxy"), "front-proxy-ca")?
            .client("front-proxy-client", "front-proxy-client", &[])?;
        let low = fleet.pki().client("low", "low", &["dev", "qa"])?;
        Ok(Self { fleet, captures, front_proxy, low })
    }

    /// Returns the options of a stack, as shipped, in front of the captures, in a cluster that
    /// knows more identity headers than usual.
    pub fn stack_options(&self) -> Result<StackOptions> {
        let mut options = self.fleet.captured_stack_options(&self.captures)?;
        options.front_proxy = Some(self.front_proxy.clone());
        options.companion = json!({ "requestHeaders": {
            "usernameHeaders": ["X-Remote-User", "X-Sso-User"],
            "groupHeaders": ["X-Remote-Group", "X-Sso-Group"],
            "uidHeaders": ["X-Remote-Uid", "X-Sso-Uid"],
            "extraHeaderPrefixes": ["X-Remote-Extra-", "X-Sso-Extra-"],
        }});
        Ok(options)
    }

    pub fn clients(&self, port: u16) -> Result<Clients> {
        let client = |files| Raw::new(port, &self.fleet.pki().ca_pem(), files);
        Ok(Clients::from([
            (Who::Anonymous, client(None)?),
            (Who::Token, client(None)?),
            (Who::Certificate, client(Some(&self.low))?),
        ]))
    }

    /// Returns the identity that must arrive for each client.
    pub fn expected(&self) -> Result<BTreeMap<Who, Expected>> {
        let token = Some(corpus::TOKEN.to_owned());
        Ok(BTreeMap::from([
            (Who::Anonymous, Expected::default()),
            (Who::Token, Expected { token, ..Expected::default() }),
            (Who::Certificate, self.verified(&self.low, "low", &["dev", "qa"])?),
        ]))
    }

    pub fn verified(
        &self,
        client: &CertificateFiles,
        user: &str,
        groups: &[&str],
    ) -> Result<Expected> {
        let digest = format!("X509SHA256={}", client.certificate_sha256()?);
        let mut identity = vec![(CREDENTIAL_ID.to_owned(), digest.into_bytes())];
        for group in groups {
            identity.push(("x-remote-group".to_owned(), group.as_bytes().to_vec()));
        }
        identity.push(("x-remote-user".to_owned(), user.as_bytes().to_vec()));
        let certificate = CertificateDer::from_pem_file(&self.front_proxy.certificate)?;
        Ok(Expected { identity, certificate: Some(certificate.to_vec()), token: None })
    }

    /// Returns all requests that arrived, once no more can arrive.
    pub async fn requests(&self) -> Result<Vec<CapturedRequest>> {
        settled(&self.captures).await?;
        Ok(self.captures.iter().flat_map(Capture::requests).collect())
    }
}

/// Waits until all connections on which something arrived are closed: then
/// every byte that was sent on them has been read.
async fn settled(captures: &[Capture]) -> Result<()> {
    wait::until_true("the connections to the peers to end", DEADLINE, async || {
        !captures.iter().any(Capture::is_recording)
    })
    .await
}
