//! The companion and Envoy with the configuration of `envoy-config/quickstart`,
//! in front of some peers.
//!
//! ```text
//!   client ──▶ Envoy (quickstart/envoy.yaml + filter) ──▶ peers
//!                 ▲ files                                   ▲ poll
//!                 └───────────── companion ─────────────────┘
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::DiscoveryMap;
use pki::ports;
use pki::{CertificateFiles, Pki};
use serde_json::{Value, json};

use crate::artifacts::{Artifact, integration_folder};
use crate::clusters::{self, Host};
use crate::companion::{Companion, CompanionOptions, has_storage_versions, map_in};
use crate::envoy::{Envoy, EnvoyOptions, MAP_GENERATION};
use crate::gateway::{Gateway, Patch};
use crate::wait;

/// A map comes within two seconds; a loaded machine gets time.
const MAP_DEADLINE: Duration = Duration::from_secs(30);

/// The values of the shipped configuration that a test replaces.
const LISTENER_PORT: &str = "port_value: 8443";
const ADMIN_PORT: &str = "port_value: 9901";
const PUBLISHED_FOLDER: &str = "/var/lib/mixed-version-proxy/envoy";
const MODULE_FOLDER: &str = "/usr/lib/mixed-version-proxy";

/// The options of a stack.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The peers by name.
    pub peers: Vec<(String, SocketAddr)>,
    /// The section `peers` of the companion's configuration, if it is not the list of `peers`.
    pub peer_source: Option<Value>,
    /// The authority (PEM file) of the peers' certificates.
    pub ca_file: PathBuf,
    /// The token with which the companion reads discovery.
    pub token: String,
    /// The certificate that Envoy shows its clients.
    pub server: CertificateFiles,
    /// The authority (PEM file) of client certificates.
    pub client_ca_file: PathBuf,
    /// The front-proxy client certificate. Without one, one is made up that no
    /// real server believes.
    pub front_proxy: Option<CertificateFiles>,
    /// The folder of all files and logs.
    pub folder: PathBuf,
    /// Envoy's worker threads.
    pub concurrency: u32,
    /// The companion's `answeringVersion`. `None`: as shipped.
    pub answering_version: Option<&'static str>,
    /// Further top-level fields of the companion's configuration.
    pub companion: Value,
    /// The gateway whose patch has the clusters and the connection manager, if they are not those of
    /// the quickstart.
    pub gateway: Option<Gateway>,
    /// Whether the filter is in the chain: without it Envoy is a plain round
    /// robin over all peers.
    pub filter: bool,
    /// Envoy's `per_connection_buffer_limit_bytes` for clients, in bytes. `None`: its default.
    pub client_buffer_limit: Option<u32>,
    /// Texts of Envoy's configuration to replace, each with what comes in its place.
    pub replaced: Vec<(&'static str, &'static str)>,
    /// Whether Envoy starts only once there is a map. If not, it starts as soon
    /// as the companion's first files are there.
    pub waits_for_map: bool,
}

/// A running companion and Envoy; dropping it ends both.
#[derive(Debug)]
pub struct Stack {
    /// The companion.
    pub companion: Companion,
    /// Envoy.
    pub envoy: Envoy,
    options: StackOptions,
    port: u16,
}

impl StackOptions {
    /// Both in front of `peers`, with everything else as shipped but one: all
    /// versions answer, so that a test meets every server. `ca_file` is the
    /// authority of the clients' certificates as well.
    pub fn new(
        peers: Vec<(String, SocketAddr)>,
        ca_file: PathBuf,
        server: CertificateFiles,
        folder: PathBuf,
    ) -> Self {
        Self {
            peers,
            peer_source: None,
            client_ca_file: ca_file.clone(),
            ca_file,
            token: "companion".to_owned(),
            server,
            front_proxy: None,
            folder,
            concurrency: 2,
            answering_version: Some("any"),
            companion: json!({}),
            gateway: None,
            filter: true,
            client_buffer_limit: None,
            replaced: Vec::new(),
            waits_for_map: true,
        }
    }

    /// Returns the folder that the companion publishes to.
    pub fn published(&self) -> PathBuf {
        self.folder.join("published")
    }

    /// Returns the companion's configuration for these peers, as YAML (JSON is
    /// YAML). Fails if the filter was not built, or a file cannot be written.
    pub fn companion_config(&self, port: u16) -> Result<String> {
        let token_file = self.folder.join("companion.token");
        fs::create_dir_all(&self.folder)?;
        fs::write(&token_file, &self.token)?;
        let peers: Vec<Value> = self
            .peers
            .iter()
            .map(|(name, address)| json!({ "name": name, "address": address.to_string() }))
            .collect();
        let front_proxy = self
            .front_proxy
            .as_ref()
            .map(|files| json!({ "certificateFile": files.certificate, "keyFile": files.key }));
        let mut config = json!({
            "listen": format!("127.0.0.1:{port}"),
            "stateDirectory": self.folder.join("state"),
            "peers": self.peer_source.clone().unwrap_or_else(|| json!({ "static": peers })),
            "peerTls": { "caFile": self.ca_file, "serverName": "kubernetes" },
            "credentials": { "tokenFile": token_file },
            "listenerTls": {
                "certificateFile": self.server.certificate,
                "keyFile": self.server.key,
                "clientCaFile": self.client_ca_file,
            },
            "frontProxy": front_proxy,
            "envoy": {
                "directory": self.published(),
                "filterModule": Artifact::Filter.path()?,
                "fixedClusters": self.gateway.is_some(),
            },
        });
        if let (Some(fields), Some(policy)) = (config.as_object_mut(), self.answering_version) {
            fields.insert("answeringVersion".to_owned(), policy.into());
        }
        if let (Some(fields), Some(more)) = (config.as_object_mut(), self.companion.as_object()) {
            fields.extend(more.clone());
        }
        Ok(serde_json::to_string_pretty(&config)?)
    }

    fn envoy(&self, port: u16) -> Result<EnvoyOptions> {
        let file = integration_folder().join("../envoy-config/quickstart/envoy.yaml");
        let published = self.published();
        let mut options = EnvoyOptions::from_file(&file, self.folder.join("envoy"))?;
        if let Some(gateway) = self.gateway {
            options.bootstrap = Patch::read(gateway)?.in_bootstrap(&options.bootstrap)?;
            let module = Artifact::Filter.path()?;
            let module = module.parent().and_then(Path::to_str).context("not UTF-8")?;
            options = options.replacing(MODULE_FOLDER, module)?;
        }
        let mut options = options
            .replacing(LISTENER_PORT, &format!("port_value: {port}"))?
            .replacing(ADMIN_PORT, "port_value: 0")?
            .replacing(PUBLISHED_FOLDER, published.to_str().context("not UTF-8")?)?
            .concurrency(self.concurrency);
        if !self.filter {
            options.bootstrap = without_filter(&options.bootstrap)?;
        }
        for (from, to) in &self.replaced {
            options = options.replacing(from, to)?;
        }
        if let Some(limit) = self.client_buffer_limit {
            let listener = "  listeners:\n    - name: kubernetes\n";
            let limited = format!("{listener}      per_connection_buffer_limit_bytes: {limit}\n");
            options = options.replacing(listener, &limited)?;
        }
        Ok(options)
    }
}

/// Waits until Envoy has a map of the companion that `condition` holds for. Fails if
/// that does not happen in time.
pub async fn wait_for_map(
    companion: &Companion,
    envoy: &Envoy,
    what: &str,
    condition: impl Fn(&DiscoveryMap) -> bool,
) -> Result<()> {
    wait::until(what, MAP_DEADLINE, async || {
        let map = companion.map("/v1/map").await?;
        ensure!(condition(&map), "not in generation {}", map.generation);
        let live = generation(envoy).await?;
        ensure!(live >= map.generation, "Envoy is at generation {live}");
        anyhow::Ok(())
    })
    .await
}

async fn generation(envoy: &Envoy) -> Result<u64> {
    Ok(envoy.stat(MAP_GENERATION).await?.unwrap_or_default())
}

impl Stack {
    /// Starts the companion, waits for its first publication unless the options
    /// say otherwise, and starts Envoy. Without the filter, waits until Envoy has
    /// all peers, which must be ready. Fails if either does not become ready.
    pub async fn start(mut options: StackOptions) -> Result<Self> {
        if options.front_proxy.is_none() {
            let pki = Pki::create(options.folder.join("front-proxy"))?;
            options.front_proxy =
                Some(pki.client("front-proxy-client", "front-proxy-client", &[])?);
        }
        let companion_port = ports::free_port()?;
        let mut companion = Companion::start(CompanionOptions {
            config: options.companion_config(companion_port)?,
            port: companion_port,
            folder: options.folder.join("companion"),
        })
        .await?;
        if options.waits_for_map {
            companion.wait_ready().await?;
        } else {
            let files = ["cds.json", "ecds.json", "sds/listener.json", "sds/client-ca.json"];
            let files = files.map(|file| options.published().join(file));
            let all = async || files.iter().all(|file| file.exists());
            wait::until_true("the first files", MAP_DEADLINE, all).await?;
        }
        let port = ports::free_port()?;
        let envoy = Envoy::start(options.envoy(port)?).await?;
        let stack = Self { companion, envoy, options, port };
        if !stack.options.filter {
            stack.wait_for_peers().await?;
        }
        Ok(stack)
    }

    /// Waits until Envoy has all peers. The first publication lacks peers that did not
    /// answer in time.
    async fn wait_for_peers(&self) -> Result<()> {
        let peers: BTreeSet<_> = self.options.peers.iter().map(|(_, peer)| peer.port()).collect();
        wait::until("all peers in Envoy", MAP_DEADLINE, async || {
            let found = self.envoy.clusters().await?;
            let hosts = found.named(clusters::DEFAULT)?.hosts();
            let ports: BTreeSet<_> = hosts.filter_map(Host::port).collect();
            ensure!(ports == peers, "Envoy has {ports:?} of {peers:?}");
            anyhow::Ok(())
        })
        .await
    }

    /// Starts both, and waits until Envoy has a map of all that the peers serve.
    /// Fails if either does not become ready, or there is no such map in time.
    pub async fn start_with_map(options: StackOptions) -> Result<Self> {
        let stack = Self::start(options).await?;
        stack.wait_for_map("a complete map", |map| map.complete).await?;
        Ok(stack)
    }

    /// Ends Envoy and starts it again on the same port. Fails if it does not
    /// end, or does not become ready.
    pub async fn restart_envoy(self) -> Result<Self> {
        let envoy = self.envoy.restart().await?;
        Ok(Self { envoy, ..self })
    }

    /// Returns the port on which Envoy serves.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns where Envoy serves.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns what it was started with.
    pub fn options(&self) -> &StackOptions {
        &self.options
    }

    /// Replaces the companion's peers; it notices by itself. Fails if the
    /// configuration cannot be written.
    pub fn set_peers(&mut self, peers: Vec<(String, SocketAddr)>) -> Result<()> {
        self.options.peers = peers;
        let config = self.options.companion_config(self.companion.port())?;
        self.companion.write_config(&config)
    }

    /// Changes top-level fields of the companion's configuration; it reads the file again at once.
    /// Fails if the configuration cannot be written.
    pub fn configure(&mut self, fields: Value) -> Result<()> {
        if let (Some(own), Value::Object(fields)) = (self.options.companion.as_object_mut(), fields)
        {
            own.extend(fields);
        }
        let config = self.options.companion_config(self.companion.port())?;
        self.companion.write_config(&config)?;
        self.companion.reload()
    }

    /// Returns the document that was pushed last. Fails if the companion does
    /// not answer.
    pub async fn map(&self) -> Result<Value> {
        Ok(map_in(self.companion.json("/v1/map").await?))
    }

    /// Waits until Envoy has a map that `condition` holds for. Fails if that
    /// does not happen in time.
    pub async fn wait_for_map(
        &self,
        what: &str,
        condition: impl Fn(&DiscoveryMap) -> bool,
    ) -> Result<()> {
        wait_for_map(&self.companion, &self.envoy, what, condition).await
    }

    /// Waits until Envoy has the map of a fake 1.35 and a fake 1.36 with their storage versions, which
    /// come last. Fails if that does not happen in time.
    pub async fn wait_for_storage_versions(&self) -> Result<()> {
        self.wait_for_map("storage versions", has_storage_versions).await
    }

    /// Waits until Envoy has the last map of a companion that was killed. Returns its generation. Fails
    /// if that does not happen in time.
    pub async fn wait_for_last_map(&self) -> Result<u64> {
        let last: Value =
            serde_json::from_slice(&fs::read(self.options.published().join("ecds.json"))?)?;
        let version = last.get("version_info").and_then(Value::as_str).context("no version")?;
        let generation = version.parse()?;
        wait::until("Envoy to have the last map", MAP_DEADLINE, async || {
            let live = self.generation().await?;
            ensure!(live == generation, "it has {live}, not {generation}");
            anyhow::Ok(generation)
        })
        .await
    }

    /// Returns the generation of the map that Envoy's workers use. Fails if
    /// Envoy's admin does not answer.
    pub async fn generation(&self) -> Result<u64> {
        generation(&self.envoy).await
    }

    /// Waits until the filter decided at least `at_least` requests for this
    /// reason, and returns their number, which it publishes once a second.
    /// Fails if there are fewer until the deadline.
    pub async fn decisions(&self, reason: &str, at_least: f64) -> Result<f64> {
        let label = format!("decision=\"{reason}\"");
        wait::until(&format!("requests that are {reason}"), MAP_DEADLINE, async || {
            let count = self.envoy.metric("mixed_version_proxy_requests_total", &[&label]).await?;
            ensure!(count >= at_least, "{count} of {at_least}");
            Ok(count)
        })
        .await
    }
}

/// Returns the bootstrap without the filter of this project.
fn without_filter(bootstrap: &str) -> Result<String> {
    let start = "                  - name: mixed-version-proxy\n";
    let end = "                  - name: envoy.filters.http.router\n";
    let (before, rest) = bootstrap.split_once(start).context("no filter in the bootstrap")?;
    let (_, after) = rest.split_once(end).context("no router after the filter")?;
    Ok(format!("{before}{end}{after}"))
}
