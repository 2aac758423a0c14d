//! Real control planes among the others.

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControlPlane as Servers, User};
use harness::shared_ingress::{ControlPlane, SharedIngress};
use harness::site::peers;
use harness::skew::{NEWER, OLDER, only_in};
use pki::CertificateFiles;
use serde_json::json;
use wire::client::{Client, ClientOptions, Http};

use super::names::host;

/// A real control plane of two versions.
pub struct Real {
    pub servers: Servers,
    pub name: String,
}

impl Real {
    /// Starts its servers, and adds it.
    pub async fn start(ingress: &SharedIngress, name: &str) -> Result<Self> {
        let servers = Servers::start(&[OLDER, NEWER]).await?;
        let pki = servers.pki();
        ingress.add(&ControlPlane {
            name: name.to_owned(),
            server_names: vec![host(name)],
            peers: peers(&servers),
            peer_ca_file: pki.ca_file(),
            token: User::Admin.token().context("no token")?.to_owned(),
            client_ca_file: Some(pki.ca_file()),
            server: pki.for_any_purpose("listener", &host(name))?,
            front_proxy: Some(servers.front_proxy().certificate().clone()),
            more: json!({}),
        })?;
        Ok(Self { servers, name: name.to_owned() })
    }

    pub fn client(&self, port: u16, user: User) -> Result<Client> {
        self.servers.client(&format!("https://{}:{port}", host(&self.name)), user, Http::Two)
    }

    fn client_with(&self, port: u16, certificate: CertificateFiles) -> Result<Client> {
        Client::new(&ClientOptions {
            url: format!("https://{}:{port}", host(&self.name)),
            ca_pem: self.servers.pki().ca_pem(),
            certificate: Some(certificate),
            ..ClientOptions::default()
        })
    }

    /// Fails unless a type that only one of its servers has is always found.
    pub async fn is_served(&self, port: u16) -> Result<()> {
        let (skewed, client) = (only_in(NEWER, OLDER)?, self.client(port, User::Admin)?);
        for _ in 0..20 {
            let answer = client.get(&skewed).await?;
            ensure!(answer.status == 200, "{}: {}", self.name, answer.text());
        }
        Ok(())
    }
}

/// Fails unless each has its own objects, and an administrator of one is nobody at another.
pub async fn are_separate(all: &[Real], port: u16) -> Result<()> {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    for one in all {
        let map = json!({ "metadata": { "name": format!("of-{}", one.name) } });
        // By its certificate, which Envoy verifies.
        one.client(port, User::KubernetesAdmin)?.post(MAPS, &map).await?.ok()?;
    }
    for one in all {
        for other in all {
            let path = format!("{MAPS}/of-{}", other.name);
            let status = one.client(port, User::Admin)?.get(&path).await?.status;
            let expected = if one.name == other.name { 200 } else { 404 };
            ensure!(status == expected, "{} at {}: {status}", other.name, one.name);
            if one.name != other.name {
                let stranger = other.servers.pki().client("stranger", "a", &["system:masters"])?;
                let answer = one.client_with(port, stranger)?.get(MAPS).await;
                ensure!(answer.is_err(), "{} at {}: {answer:?}", other.name, one.name);
            }
        }
    }
    Ok(())
}
