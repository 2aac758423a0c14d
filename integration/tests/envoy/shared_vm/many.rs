//! An Envoy with any number of control planes, whose chains come and go with its listener.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::Packer;
use harness::artifacts::Artifact;
use harness::envoy::{Envoy, EnvoyOptions};
use harness::measure::resident_kib;
use harness::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::site::{Published, map, write};

const DEADLINE: Duration = Duration::from_secs(120);

/// An Envoy, and the file of its listener.
pub struct Many {
    pub envoy: Envoy,
    published: Published,
    module: PathBuf,
    folder: TempDir,
    version: u64,
}

impl Many {
    /// Starts Envoy without a listener.
    pub async fn start() -> Result<Self> {
        let (published, module) = (Published::read()?, Artifact::Filter.path()?);
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("listeners.json");
        fs::write(&file, json!({ "version_info": "0", "resources": [] }).to_string())?;
        let bootstrap = json!({
            "node": { "id": "many", "cluster": "many" },
            "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
            "dynamic_resources": { "lds_config": {
                "resource_api_version": "V3", "path_config_source": { "path": file },
            } },
        });
        let options = EnvoyOptions::new(bootstrap.to_string(), folder.path().join("envoy"))
            .concurrency(1)
            // Chains that are removed go after this time.
            .argument("--drain-time-s")
            .argument("1");
        Ok(Self { envoy: Envoy::start(options).await?, published, module, folder, version: 0 })
    }

    /// Has Envoy serve these control planes, by their names and maps, and no others. Waits until the
    /// filters of the others have no streams and no configuration any more.
    pub async fn serve(&mut self, control_planes: &[(String, String)]) -> Result<()> {
        let chains: Result<Vec<_>> =
            control_planes.iter().map(|(name, map)| self.chain(name, map)).collect();
        let listener = json!({
            "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
            "name": "kubernetes",
            "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
            "listener_filters": [{ "name": "tls_inspector", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            } }],
            "filter_chains": chains?,
        });
        self.version += 1;
        write(&self.folder.path().join("listeners.json"), &self.version.to_string(), listener)?;
        wait::until("Envoy to take the listener", DEADLINE, async || {
            let taken = self.envoy.stat("listener_manager.lds.update_success").await?;
            ensure!(taken > Some(self.version), "{taken:?} of {}", self.version);
            let draining = self.envoy.stat("listener_manager.total_filter_chains_draining").await?;
            ensure!(draining == Some(0), "{draining:?} are draining");
            anyhow::Ok(())
        })
        .await
    }

    fn chain(&self, name: &str, map: &str) -> Result<Value> {
        let filter = self.published.filter(name, &self.module, map)?;
        let filter = filter.get("typed_config").context("no filter")?;
        let router = json!({ "name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
        } });
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "many",
            "route_config": {},
            "http_filters": [{ "name": format!("mixed-version-proxy/{name}"), "typed_config": filter }, router],
        });
        Ok(json!({
            "name": name,
            "filter_chain_match": { "server_names": [format!("{name}.test")] },
            "filters": [{ "name": "http", "typed_config": manager }],
        }))
    }

    /// Returns the memory that Envoy has, in bytes.
    pub fn memory(&self) -> Result<u64> {
        Ok(resident_kib(self.envoy.pid()?)? * 1024)
    }
}

/// Returns a control plane with a map of its own, which has a document of this many bytes that cannot
/// be compressed.
pub fn control_plane(name: &str, size: usize) -> Result<(String, String)> {
    let mut map = map(name)?;
    // Any generator will do.
    let mut state = name.bytes().fold(1_u64, |state, byte| state * 31 + u64::from(byte));
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let content: Vec<u8> = (0..size).map(|_| next()).collect();
    let mut packer = Packer::default();
    packer.add(&content);
    let documents =
        map.get_mut("documents").and_then(Value::as_array_mut).context("no documents")?;
    documents.push(json!({
        "path": format!("/apis/{name}.example.com/v1"),
        "form": "plain",
        "set": 0,
        "size": size,
        "gzip": packer.finish(),
    }));
    Ok((name.to_owned(), map.to_string()))
}
