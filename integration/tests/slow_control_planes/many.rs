//! Many small control planes of two replayed peers each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::recordings::Recording;
use fake_apiserver::replay::{Crd, PEER_HEADER, ReplayOptions, ReplayPeer};
use harness::shared_ingress::{ControlPlane, SharedIngress};
use pki::Pki;
use serde_json::json;
use wire::client::{Client, ClientOptions, Http};
use wire::raw::Raw;

use super::corpus::Side;
use super::names::host;
use super::types::{group, widgets};

/// How often the peers of most control planes are asked: all fake servers share the machine.
const SELDOM: &str = "60s";

/// A control plane of two peers, whose names begin with its own.
pub struct Small {
    pub peers: Vec<ReplayPeer>,
    pub config: ControlPlane,
    pki: Pki,
}

/// What all of them share.
pub struct Recordings([Arc<Recording>; 2]);

impl Recordings {
    pub fn read() -> Result<Self> {
        let of = |version| anyhow::Ok(Arc::new(Recording::of(version)?));
        Ok(Self([of(Version::V1_35)?, of(Version::V1_36)?]))
    }
}

impl Small {
    /// Starts the peers of control plane `number`. `active`: they are asked each second.
    pub async fn start(
        ingress: &SharedIngress,
        recordings: &Recordings,
        number: usize,
        active: bool,
    ) -> Result<Self> {
        let name = format!("cp-{number:04}");
        let pki = Pki::create(ingress.folder().join("pki").join(&name))?;
        let server = pki.server("peer")?;
        let mut peers = Vec::new();
        for (index, recording) in (1..).zip(&recordings.0) {
            let options = ReplayOptions::new(
                format!("{name}-{index}"),
                Arc::clone(recording),
                server.clone(),
            );
            peers.push(ReplayPeer::start(options).await?);
        }
        peers.get(1).context("no peer")?.add_crd(Crd::new(&group(&name), "Widget"))?;
        let address = |peer: &ReplayPeer| ([127, 0, 0, 1], peer.port()).into();
        let named = peers.iter().map(|peer| (peer.name().to_owned(), address(peer)));
        let interval = if active { "1s" } else { SELDOM };
        let config = ControlPlane {
            server_names: vec![host(&name)],
            peers: named.collect(),
            peer_ca_file: pki.ca_file(),
            token: "companion".to_owned(),
            client_ca_file: Some(pki.ca_file()),
            server: pki.for_any_purpose("listener", &host(&name))?,
            front_proxy: Some(pki.client("front-proxy", "front-proxy-client", &[])?),
            more: json!({ "polling": { "interval": interval, "timeout": "30s" } }),
            name,
        };
        Ok(Self { peers, config, pki })
    }

    pub fn name(&self) -> &str {
        &self.config.name
    }

    pub fn client(&self, port: u16) -> Result<Client> {
        Client::new(&ClientOptions {
            url: format!("https://{}:{port}", host(self.name())),
            ca_pem: self.pki.ca_pem(),
            token: Some("client".to_owned()),
            certificate: None,
            http: Http::One,
        })
    }

    pub fn raw(&self, port: u16) -> Result<Raw> {
        Ok(Raw::new(port, &self.pki.ca_pem(), None)?.asking_for(&host(self.name())))
    }

    pub fn side(&self) -> Side {
        let servers = self.peers.iter().map(ReplayPeer::port).collect();
        Side { name: self.name().to_owned(), servers }
    }

    /// Fails unless the type that only its second peer has is answered by that peer.
    pub async fn is_served(&self, port: u16) -> Result<()> {
        self.serves(port, &widgets(self.name())).await
    }

    /// Fails unless a type that only the second peer has is answered by that peer.
    pub async fn serves(&self, port: u16, path: &str) -> Result<()> {
        let answer = tokio::time::timeout(Duration::from_secs(10), async {
            self.client(port)?.get(path).await
        });
        let answer = answer.await??;
        let expected = format!("{}-2", self.name());
        ensure!(answer.status == 200, "{}: {}", self.name(), answer.text());
        ensure!(answer.header(PEER_HEADER) == Some(&expected), "{answer:?}");
        Ok(())
    }
}
