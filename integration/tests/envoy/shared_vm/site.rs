//! An Envoy with one worker and two control planes, each with a filter chain of its own.
//!
//! ```text
//!  client ─ SNI "localhost" ─▶ chain ─▶ filter …/first  ─▶ a rotation cluster, or an answer of the route
//!         ─ no SNI ──────────▶ chain ─▶ filter …/second ─▶ a rotation cluster, or an answer of the route
//! ```

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::http::StatusCode;
use harness::artifacts::{Artifact, integration_folder};
use harness::envoy::{Envoy, EnvoyOptions};
use harness::wait;
use pki::{CertificateFiles, Pki};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use wire::client::{Client, ClientOptions, Http};

/// The names of the control planes.
pub const NAMES: [&str; 2] = ["first", "second"];

/// The header in which the filter names a cluster.
const CLUSTER: &str = "x-mixed-version-proxy-cluster";

/// The header in which the routes say which cluster that was.
pub const DECIDED: &str = "x-decided";

const MAP: &str = "/typed_config/extension_config/typed_config/config/configuration/value";

pub const DEADLINE: Duration = Duration::from_secs(30);

/// Returns the golden map with the clusters of this control plane.
pub fn map(name: &str) -> Result<Value> {
    let file = integration_folder().join("../discovery-map/golden/map.json");
    let map = fs::read_to_string(file)?.replace("\"kube-apiserver", &format!("\"{name}"));
    Ok(serde_json::from_str(&map)?)
}

/// Envoy, and the one server of all control planes.
pub struct Site {
    pub envoy: Envoy,
    pki: Pki,
    folder: TempDir,
    /// The address of a server that knows no type.
    pub server: String,
    pushes: u64,
}

/// What the companion publishes, as the golden file has it.
pub struct Published(Value);

impl Published {
    pub fn read() -> Result<Self> {
        let file = integration_folder().join("../companion/golden/resources.json");
        Ok(Self(serde_json::from_slice(&fs::read(file)?)?))
    }

    fn resource(&self, kind: &str) -> Result<&Value> {
        let all = self.0.get("resources").and_then(Value::as_array).context("no resources")?;
        let is_one = |resource: &&Value| {
            resource.get("@type").and_then(Value::as_str).is_some_and(|own| own.ends_with(kind))
        };
        all.iter().find(is_one).with_context(|| format!("no {kind}"))
    }

    /// Returns the filter of a control plane in the listener.
    pub fn filter(&self, name: &str, module: &Path, map: &str) -> Result<Value> {
        let text = named(&self.resource("TypedExtensionConfig")?.to_string(), name, module)?;
        let mut filter: Value = serde_json::from_str(&text)?;
        *filter.pointer_mut(MAP).context("no map")? = map.into();
        Ok(filter)
    }

    /// Returns the options of a cluster of a control plane, with the filter at its servers.
    fn options(&self, name: &str, module: &Path) -> Result<Value> {
        let cluster = self.resource("config.cluster.v3.Cluster")?;
        let options = cluster.get("typed_extension_protocol_options").context("no options")?;
        Ok(serde_json::from_str(&named(&options.to_string(), name, module)?)?)
    }
}

/// Names the filters of the golden file after a control plane.
fn named(json: &str, name: &str, module: &Path) -> Result<String> {
    let module = module.to_str().context("not UTF-8")?;
    let mut text = json.to_owned();
    for filter in ["mixed-version-proxy", "mixed-version-proxy-at-server"] {
        for field in ["name", "root_id"] {
            let own = |value: &str| format!("\"{field}\":\"{value}\"");
            text = text.replace(&own(filter), &own(&format!("{filter}/{name}")));
        }
    }
    let at_server = module.replace(".wasm", "-at-server.wasm");
    Ok(text.replace("/lib/filter.wasm", module).replace("/lib/filter-at-server.wasm", &at_server))
}

impl Site {
    /// Starts Envoy with this module. Each control plane begins with what `maps` has for it.
    pub async fn start(module: Artifact, maps: [&str; 2]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::create(folder.path().join("pki"))?;
        let (published, module) = (Published::read()?, module.path()?);
        let server = server().await?;
        let mut chains = Vec::new();
        let mut clusters = Vec::new();
        for (name, map) in NAMES.into_iter().zip(maps) {
            let file = folder.path().join(format!("{name}.json"));
            write(&file, "1", published.filter(name, &module, map)?)?;
            chains.push(chain(name, &file, &pki.server("envoy")?));
            clusters.push(cluster(name, &server, published.options(name, &module)?)?);
        }
        let listener = json!({
            "name": "kubernetes",
            "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
            "listener_filters": [{ "name": "tls_inspector", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            } }],
            "filter_chains": chains,
        });
        let bootstrap = json!({
            "node": { "id": "shared", "cluster": "shared" },
            "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
            "static_resources": { "listeners": [listener], "clusters": clusters },
        });
        let place = folder.path().join("envoy");
        let options = EnvoyOptions::new(bootstrap.to_string(), place).concurrency(1);
        Ok(Self { envoy: Envoy::start(options).await?, pki, folder, server, pushes: 1 })
    }

    /// Pushes a map to a control plane, and waits until Envoy has taken or refused it.
    pub async fn push(&mut self, name: &str, map: &str) -> Result<()> {
        let file = self.folder.path().join(format!("{name}.json"));
        let mut response: Value = serde_json::from_slice(&fs::read(&file)?)?;
        let filter = response.pointer_mut("/resources/0").context("no filter")?;
        *filter.pointer_mut(MAP).context("no map")? = map.into();
        let filter = filter.take();
        self.pushes += 1;
        let outcomes = async |envoy: &Envoy| {
            let prefix =
                format!("extension_config_discovery.http_filter.mixed-version-proxy/{name}");
            let mut all = 0;
            for outcome in ["update_success", "update_rejected"] {
                all += envoy.stat(&format!("{prefix}.{outcome}")).await?.unwrap_or_default();
            }
            anyhow::Ok(all)
        };
        let before = outcomes(&self.envoy).await?;
        write(&file, &self.pushes.to_string(), filter)?;
        wait::until("Envoy to read the map", DEADLINE, async || {
            ensure!(outcomes(&self.envoy).await? > before, "it did not");
            anyhow::Ok(())
        })
        .await
    }

    /// Returns a client of a control plane.
    pub async fn client(&self, name: &str) -> Result<Client> {
        let host = if name == NAMES[0] { "localhost" } else { "127.0.0.1" };
        let port = self.envoy.listener_port("kubernetes").await?;
        Client::new(&ClientOptions {
            url: format!("https://{host}:{port}"),
            ca_pem: self.pki.ca_pem(),
            http: Http::One,
            ..ClientOptions::default()
        })
    }
}

/// Starts a server that denies every request. Returns its address.
async fn server() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    let deny = Router::new().fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"));
    tokio::spawn(async move { axum::serve(listener, deny).await });
    Ok(address)
}

/// Envoy reads a file when it is renamed.
pub fn write(file: &Path, version: &str, resource: Value) -> io::Result<()> {
    let response = json!({ "version_info": version, "resources": [resource] });
    let new = file.with_extension("new");
    fs::write(&new, response.to_string())?;
    fs::rename(new, file)
}

fn chain(name: &str, filter: &Path, certificate: &CertificateFiles) -> Value {
    let matched =
        if name == NAMES[0] { json!({ "server_names": ["localhost"] }) } else { json!({}) };
    let certificate = json!({
        "certificate_chain": { "filename": certificate.certificate },
        "private_key": { "filename": certificate.key },
    });
    let filter = json!({
        "name": format!("mixed-version-proxy/{name}"),
        "config_discovery": {
            "config_source": { "resource_api_version": "V3", "path_config_source": { "path": filter } },
            "type_urls": [
                "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
            ],
        },
    });
    let router = json!({ "name": "envoy.filters.http.router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
    } });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": routes(name),
        "http_filters": [filter, router],
    });
    json!({
        "name": name,
        "filter_chain_match": matched,
        "transport_socket": { "name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": { "tls_certificates": [certificate] },
        } },
        "filters": [{ "name": "http", "typed_config": manager }],
    })
}

/// A request for the rotation goes there; others are answered with what the filter decided.
fn routes(name: &str) -> Value {
    let header = |matched: Value| json!({ "prefix": "/", "headers": [matched] });
    let to_rotation = json!({ "name": CLUSTER, "string_match": { "suffix": "__rotation" } });
    json!({
        "internal_only_headers": [CLUSTER],
        "virtual_hosts": [{
            "name": name,
            "domains": ["*"],
            "routes": [
                { "match": header(to_rotation), "route": { "cluster_header": CLUSTER } },
                {
                    "match": { "prefix": "/" },
                    "direct_response": { "status": 200, "body": { "inline_string": name } },
                    "response_headers_to_add": [
                        { "header": { "key": DECIDED, "value": format!("%REQ({CLUSTER})%") } },
                    ],
                },
            ],
        }],
    })
}

fn cluster(name: &str, server: &str, options: Value) -> Result<Value> {
    let (address, port) = server.rsplit_once(':').context("no port")?;
    let port: u16 = port.parse()?;
    let address = json!({ "socket_address": { "address": address, "port_value": port } });
    let rotation = format!("{name}__rotation");
    Ok(json!({
        "name": rotation,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": rotation,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
        },
        "typed_extension_protocol_options": options,
    }))
}
