//! etcd, one member, without TLS on loopback.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fake_apiserver::Version;
use pki::ports::free_port;
use serde_json::{Value, json};
use wire::client::Client;

use crate::artifacts::Artifact;
use crate::process::{Process, Program};

/// A running etcd.
#[derive(Debug)]
pub struct Etcd {
    port: u16,
    process: Process,
}

impl Etcd {
    /// Starts etcd from the binary of `version`, with its data in `folder`, and
    /// waits until it is healthy.
    pub(super) async fn start(version: Version, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (port, peer_port) = (free_port()?, free_port()?);
        let client = format!("http://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{peer_port}");
        let mut process =
            Program::new("etcd", Artifact::ControlPlane(version).path()?, folder.join("log"))
                .arg("etcd")
                .arg(format!("--data-dir={}", folder.join("data").display()))
                .arg(format!("--listen-client-urls={client}"))
                .arg(format!("--advertise-client-urls={client}"))
                .arg(format!("--listen-peer-urls={peer}"))
                .arg(format!("--initial-advertise-peer-urls={peer}"))
                .arg(format!("--initial-cluster=default={peer}"))
                .arg("--log-level=warn")
                // The data is not needed after the test.
                .arg("--unsafe-no-fsync")
                .spawn()?;
        process.until_ok(&Client::plain(port)?, "/health", Duration::from_secs(30)).await?;
        Ok(Self { port, process })
    }

    /// Returns the address for clients.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns all keys of what API servers have stored, such as
    /// `/registry/configmaps/default/name`, by etcd's JSON gateway. Fails if
    /// etcd does not answer with a list of keys.
    pub async fn keys(&self) -> Result<Vec<String>> {
        // The range of all that begins with the first: `0` follows on `/`.
        let range = json!({
            "key": STANDARD.encode("/registry/"),
            "range_end": STANDARD.encode("/registry0"),
            "keys_only": true,
        });
        let client = Client::plain(self.port)?;
        let found = client.post("/v3/kv/range", &range).await?.ok()?.json()?;
        let entries = found.get("kvs").and_then(Value::as_array).context("no kvs")?;
        entries.iter().map(key).collect()
    }
}

fn key(entry: &Value) -> Result<String> {
    let key = entry.get("key").and_then(Value::as_str).context("an entry without a key")?;
    Ok(String::from_utf8(STANDARD.decode(key)?)?)
}
