//! Fake API servers of chosen versions on one store, and stacks in front of
//! them.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use fake_apiserver::Version;
use fake_apiserver::recordings::Recording;
use fake_apiserver::replay::{ReplayOptions, ReplayPeer, Store};
use pki::Pki;
use tempfile::TempDir;
use wire::capture::{Capture, CaptureOptions};
use wire::client::{Client, ClientOptions, Http};

use crate::stack::{Stack, StackOptions};

/// Any token works: a fake API server does not authenticate.
pub const TOKEN: &str = "client-token";

/// The companion's token at captures, which do not keep its requests. No client
/// has it.
const POLL_TOKEN: &str = "companion-token";

/// Fake API servers called `cp-1`, `cp-2`, …; dropping it ends them.
#[derive(Debug)]
pub struct Fleet {
    // Peers before the folder that they read their certificates from.
    /// The peers.
    pub peers: Vec<ReplayPeer>,
    /// The store of all their objects.
    pub store: Store,
    pki: Pki,
    folder: TempDir,
}

impl Fleet {
    /// Starts a peer of each of these versions. Fails if a recording cannot be
    /// read, or a peer cannot be started.
    pub async fn start(versions: &[Version]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::create(folder.path().join("pki"))?;
        let mut fleet = Self { peers: Vec::new(), store: Store::default(), pki, folder };
        for &version in versions {
            fleet.add(version).await?;
        }
        Ok(fleet)
    }

    /// Starts one more peer. Fails if the recording cannot be read, or the peer
    /// cannot be started.
    pub async fn add(&mut self, version: Version) -> Result<()> {
        let name = format!("cp-{}", self.peers.len() + 1);
        let (recording, certificate) = (Recording::of(version)?, self.pki.server(&name)?);
        let mut options = ReplayOptions::new(name, recording, certificate);
        options.store = self.store.clone();
        self.peers.push(ReplayPeer::start(options).await?);
        Ok(())
    }

    /// Returns the peer at `index`, to stop or change it. Fails if the index is
    /// out of range.
    pub fn peer(&mut self, index: usize) -> Result<&mut ReplayPeer> {
        self.peers.get_mut(index).context("no such peer")
    }

    /// Returns the peers by name, as the companion knows them.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let address = |peer: &ReplayPeer| SocketAddr::from(([127, 0, 0, 1], peer.port()));
        self.peers.iter().map(|peer| (peer.name().to_owned(), address(peer))).collect()
    }

    /// Returns the options of a stack in front of all peers. Fails if Envoy's
    /// certificate cannot be written.
    pub fn stack_options(&self) -> Result<StackOptions> {
        let server = self.pki.server("envoy")?;
        let folder = self.folder.path().join("stack");
        Ok(StackOptions::new(self.addresses(), self.pki.ca_file(), server, folder))
    }

    /// Starts a capture in front of the peer at `index`. Fails if the index is
    /// out of range, or it cannot be started.
    pub async fn capture(&self, index: usize) -> Result<Capture> {
        let peer = self.peers.get(index).context("no such peer")?;
        Capture::start(CaptureOptions {
            certificate: self.pki.server(&format!("capture-{index}"))?,
            poll_token: POLL_TOKEN.to_owned(),
            polls: self.client(&peer.url(), Http::One)?,
        })
        .await
    }

    /// Starts a capture in front of each peer. Fails if one cannot be started.
    pub async fn captures(&self) -> Result<Vec<Capture>> {
        let mut captures = Vec::new();
        for index in 0..self.peers.len() {
            captures.push(self.capture(index).await?);
        }
        Ok(captures)
    }

    /// Returns the options of a stack in front of these captures, one for each
    /// peer. Fails if Envoy's certificate cannot be written.
    pub fn captured_stack_options(&self, captures: &[Capture]) -> Result<StackOptions> {
        let mut options = self.stack_options()?;
        for ((_, address), capture) in options.peers.iter_mut().zip(captures) {
            address.set_port(capture.port());
        }
        options.token = POLL_TOKEN.to_owned();
        Ok(options)
    }

    /// Starts the companion and Envoy in front of all peers, and waits for a
    /// complete map. Fails if either does not become ready.
    pub async fn stack(&self) -> Result<Stack> {
        Stack::start_with_map(self.stack_options()?).await
    }

    /// Returns a client of `url`, such as Envoy's or a peer's. Fails if the
    /// client cannot be made.
    pub fn client(&self, url: &str, http: Http) -> Result<Client> {
        Client::new(&ClientOptions {
            url: url.to_owned(),
            ca_pem: self.pki.ca_pem(),
            token: Some(TOKEN.to_owned()),
            certificate: None,
            http,
        })
    }

    /// Returns the authority of all certificates.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Returns the folder of all files; it goes with this handle.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
