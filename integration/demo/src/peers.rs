//! The API servers of the demo, recorded or real.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use fake_apiserver::Version;
use fake_apiserver::recordings::Recording;
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::fleet::{Fleet, TOKEN};
use harness::site;
use harness::stack::StackOptions;
use wire::client::{Client, Http};

/// The kind of the API servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Fake API servers that replay the answers of real ones.
    Recorded,
    /// Real etcd and kube-apiservers.
    Real,
}

/// The versions before and after the upgrade.
pub const OLDER: Version = Version::NEWEST_PAIR[0];
pub const NEWER: Version = Version::NEWEST_PAIR[1];

/// The initial versions, in the middle of an upgrade.
const VERSIONS: [(&str, Version); 3] = [("cp-1", OLDER), ("cp-2", OLDER), ("cp-3", NEWER)];

/// The server that the story upgrades.
const UPGRADED: usize = 1;

/// The API servers.
pub enum Peers {
    Recorded(Box<Fleet>),
    Real(Box<ControlPlane>),
}

impl Peers {
    pub async fn start(kind: Kind) -> Result<Self> {
        let versions = VERSIONS.map(|(_, version)| version);
        Ok(match kind {
            Kind::Recorded => Self::Recorded(Box::new(Fleet::start(&versions).await?)),
            Kind::Real => {
                println!("Starting etcd and three kube-apiservers …");
                let servers = VERSIONS.map(|(name, version)| ServerOptions::new(name, version));
                Self::Real(Box::new(ControlPlane::start_with(servers.into()).await?))
            }
        })
    }

    /// Returns each server's name and version.
    pub fn versions(&self) -> Vec<(String, String)> {
        match self {
            Self::Recorded(fleet) => {
                fleet.peers.iter().map(|peer| (peer.name().into(), peer.version())).collect()
            }
            Self::Real(plane) => {
                let servers = plane.servers().iter();
                servers.map(|s| (s.name().into(), s.version().to_string())).collect()
            }
        }
    }

    /// Returns the options of a stack in front of them, with its files in a folder of this name.
    pub fn stack_options(&self, folder: &str) -> Result<StackOptions> {
        let mut options = match self {
            Self::Recorded(fleet) => fleet.stack_options()?,
            Self::Real(plane) => site::stack_options(plane, folder)?,
        };
        options.folder = self.folder().join(folder);
        Ok(options)
    }

    /// Returns an administrator's client of `url`.
    pub fn client(&self, url: &str) -> Result<Client> {
        match self {
            Self::Recorded(fleet) => fleet.client(url, Http::Two),
            Self::Real(plane) => plane.client(url, User::Admin, Http::Two),
        }
    }

    /// Upgrades one server, live; its name.
    pub async fn upgrade_one(&mut self) -> Result<String> {
        match self {
            Self::Recorded(fleet) => {
                let peer = fleet.peer(UPGRADED)?;
                peer.upgrade(Recording::of(NEWER)?)?;
                Ok(peer.name().to_owned())
            }
            Self::Real(plane) => {
                let server = plane.server_mut(UPGRADED)?;
                server.restart_as(NEWER).await?;
                Ok(server.name().to_owned())
            }
        }
    }

    /// Returns what a client needs to try it by hand.
    pub fn access(&self) -> Result<Access> {
        let (ca, token) = match self {
            Self::Recorded(fleet) => (fleet.pki().ca_file(), TOKEN),
            Self::Real(plane) => (plane.pki().ca_file(), User::Admin.token().context("no token")?),
        };
        Ok(Access { ca, token })
    }

    /// Returns the servers' addresses, to ask them directly.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        match self {
            Self::Recorded(fleet) => fleet.addresses(),
            Self::Real(plane) => site::peers(plane),
        }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Recorded(fleet) => fleet.folder(),
            Self::Real(plane) => plane.folder(),
        }
    }
}

/// What a client needs to try it by hand.
pub struct Access {
    /// The authority (PEM file) of all servers' certificates.
    pub ca: PathBuf,
    /// A token that all servers accept.
    pub token: &'static str,
}
