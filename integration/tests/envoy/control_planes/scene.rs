//! Control planes with types, users and authorities of their own, behind one Envoy and one
//! companion.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::Crd;
use harness::ads::AdsCompanion;
use harness::envoy::Envoy;
use harness::fleet::{Fleet, TOKEN};
use harness::shared_ingress::{ControlPlane, LISTENER, SharedIngress};
use harness::wait;
use pki::{CertificateFiles, Pki};
use serde_json::json;
use tempfile::TempDir;
use wire::capture::Capture;
use wire::client::{Client, ClientOptions, Http};
use wire::raw::Raw;

use super::corpus::Side;
use super::names::host;
use super::types::{group, widgets};

pub const DEADLINE: Duration = Duration::from_secs(30);

/// A control plane and its servers.
pub struct Plane {
    pub fleet: Fleet,
    /// In front of the peers, if requests are captured.
    pub captures: Vec<Capture>,
    pub config: ControlPlane,
    /// A user of this control plane alone.
    pub user: CertificateFiles,
}

impl Plane {
    /// Starts two servers, of which the second serves a type that no other server of any control
    /// plane has.
    pub async fn start(name: &str, captured: bool) -> Result<Self> {
        let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
        fleet.peers.get(1).context("no peer")?.add_crd(Crd::new(&group(name), "Widget"))?;
        let captures = if captured { fleet.captures().await? } else { Vec::new() };
        let options = if captured {
            fleet.captured_stack_options(&captures)?
        } else {
            fleet.stack_options()?
        };
        let user = fleet.pki().client("user", &format!("user-of-{name}"), &["devs"])?;
        let front = Pki::create_as(fleet.folder().join("front-proxy"), "front-proxy-ca")?;
        let config = ControlPlane {
            name: name.to_owned(),
            server_names: vec![host(name)],
            peers: options.peers,
            peer_ca_file: options.ca_file.clone(),
            token: options.token,
            client_ca_file: Some(options.ca_file),
            server: fleet.pki().for_any_purpose("listener", &host(name))?,
            front_proxy: Some(front.client("front-proxy-client", "front-proxy-client", &[])?),
            more: json!({}),
        };
        Ok(Self { fleet, captures, config, user })
    }

    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns what the corpus names.
    pub fn side(&self) -> Side {
        let servers = self.config.peers.iter().map(|(_, address)| address.port()).collect();
        Side { name: self.name().to_owned(), servers }
    }

    /// Returns a client of this control plane through Envoy.
    pub fn client(&self, port: u16, certificate: bool, http: Http) -> Result<Client> {
        Client::new(&ClientOptions {
            url: format!("https://{}:{port}", host(self.name())),
            ca_pem: self.fleet.pki().ca_pem(),
            token: (!certificate).then(|| TOKEN.to_owned()),
            certificate: certificate.then(|| self.user.clone()),
            http,
        })
    }

    /// Returns a client that sends any bytes to this control plane.
    pub fn raw(&self, port: u16, files: Option<&CertificateFiles>) -> Result<Raw> {
        let raw = Raw::new(port, &self.fleet.pki().ca_pem(), files)?;
        Ok(raw.asking_for(&host(self.name())))
    }
}

/// Control planes behind one Envoy and one companion.
pub struct Scene {
    // Processes before the folder that they run in.
    pub envoy: Envoy,
    pub companion: AdsCompanion,
    pub planes: Vec<Plane>,
    pub ingress: SharedIngress,
    _folder: TempDir,
}

impl Scene {
    pub async fn start(names: &[&str]) -> Result<Self> {
        Self::start_with(names, false).await
    }

    /// Starts servers that capture what arrives.
    pub async fn start_captured(names: &[&str]) -> Result<Self> {
        Self::start_with(names, true).await
    }

    async fn start_with(names: &[&str], captured: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let ingress = SharedIngress::new(folder.path().join("ingress"))?;
        let mut planes = Vec::new();
        for name in names {
            let plane = Plane::start(name, captured).await?;
            ingress.add(&plane.config)?;
            planes.push(plane);
        }
        let companion = ingress.companion("companion-1").await?;
        let envoy = Envoy::start(ingress.envoy("envoy-1", companion.port)?).await?;
        let scene = Self { envoy, companion, planes, ingress, _folder: folder };
        for plane in &scene.planes {
            scene.is_served(plane).await?;
        }
        Ok(scene)
    }

    /// Returns the port on which Envoy serves all control planes.
    pub async fn port(&self) -> Result<u16> {
        self.envoy.listener_port(LISTENER).await
    }

    /// Waits until a control plane is served by its own map.
    pub async fn is_served(&self, plane: &Plane) -> Result<()> {
        let path = widgets(plane.name());
        wait::until(&format!("{} to be served", plane.name()), DEADLINE, async || {
            serves(&plane.client(self.port().await?, false, Http::Two)?, &path).await
        })
        .await
    }
}

/// Waits until a companion's map of a control plane stays as it is.
pub async fn stays_as_it_is(companion: &AdsCompanion, plane: &Plane) -> Result<()> {
    let path = format!("/v1/control-planes/{}/map", plane.name());
    companion.companion.wait_for_storage_versions(&path).await
}

/// Fails unless the answers to requests for this path are 200, whichever server is asked.
pub async fn serves(client: &Client, path: &str) -> Result<()> {
    for _ in 0..4 {
        let answer = client.get(path).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    Ok(())
}
