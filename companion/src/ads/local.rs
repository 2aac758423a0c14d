//! ADS over a socket of this host, for the Envoy beside a mirror.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_stream::wrappers::UnixListenerStream;

use super::access::Access;
use super::following::{Following, Socket};
use super::metrics::AdsMetrics;
use super::selection::Selection;
use super::service::Service;
use super::snapshots::Snapshots;
use crate::files;

/// How many Envoys a mirror serves.
const CLIENTS: usize = 16;

/// A server that listens and does not answer yet.
pub struct LocalServer {
    listener: UnixListener,
}

impl LocalServer {
    /// Binds a socket that only its owner can open, in place of what an earlier run left. The caller
    /// holds the lock on its directory.
    pub fn bind(path: &Path) -> io::Result<Self> {
        files::remove(path).map_err(io::Error::other)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self { listener })
    }

    /// Serves the control planes that the mirror follows, until the listener fails.
    pub async fn run(
        self,
        following: watch::Receiver<Following>,
        control_planes: Selection,
        snapshots: Snapshots,
        metrics: AdsMetrics,
    ) -> Result<(), String> {
        let access = Access::Socket(Socket::new(following, control_planes));
        let service = Service::new(&snapshots, access, metrics, CLIENTS);
        let served = tonic::transport::Server::builder()
            .serve_with_incoming(service, UnixListenerStream::new(self.listener));
        served.await.map_err(|error| error.to_string())
    }
}
