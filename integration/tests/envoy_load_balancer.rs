//! `envoy-config/load-balancer`: it treats requests as the quickstart does, and
//! leaves service without an error for its clients.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::artefacts::integration_folder;
use integration::client::{Client, Http};
use integration::companion::{Companion, CompanionOptions};
use integration::control_plane::Version;
use integration::envoy::{Envoy, EnvoyOptions};
use integration::fleet::Fleet;
use integration::http1::RawClient;
use integration::pki::Pki;
use integration::ports;
use integration::process::Program;
use integration::wait;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

/// Where the listener that serves is, in both files once the other listener is
/// away.
const LISTENER: &str = "/static_resources/listeners/0";

/// What only the load balancer has, as JSON pointers; `LISTENER` and `HTTP`
/// stand for the listener that serves and for its connection manager.
const ADDED: [&str; 13] = [
    "/overload_manager",
    "/admin/ignore_global_conn_limit",
    "LISTENER/access_log",
    "LISTENER/drain_type",
    "LISTENER/per_connection_buffer_limit_bytes",
    "LISTENER/filter_chains/0/transport_socket_connect_timeout",
    "LISTENER/filter_chains/0/transport_socket/typed_config/common_tls_context/tls_params",
    "HTTP/access_log",
    "HTTP/max_request_headers_kb",
    "HTTP/common_http_protocol_options/max_headers_count",
    "HTTP/http2_protocol_options/max_concurrent_streams",
    "HTTP/http2_protocol_options/initial_stream_window_size",
    "HTTP/http2_protocol_options/initial_connection_window_size",
];

/// The answer when Envoy is overloaded, before those that both have.
const OVERLOADED: &str = "HTTP/local_reply_config/mappers/0";

fn shipped(file: &str) -> PathBuf {
    integration_folder().join("../envoy-config").join(file)
}

fn configuration(file: &str) -> Result<Value> {
    let file = shipped(file);
    let text = fs::read_to_string(&file)?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is no YAML", file.display()))
}

/// Takes out what a pointer names, which must be there.
fn take(value: &mut Value, pointer: &str) -> Result<Value> {
    let http = format!("{LISTENER}/filter_chains/0/filters/0/typed_config");
    let pointer = pointer.replace("LISTENER", LISTENER).replace("HTTP", &http);
    let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
    let taken = match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(key),
        Some(Value::Array(entries)) => key.parse().ok().map(|index: usize| entries.remove(index)),
        _ => None,
    };
    taken.with_context(|| format!("there is no {pointer}"))
}

/// Every place in which the two differ.
fn differences(one: &Value, other: &Value, place: &str) -> Vec<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let of = |fields: &serde_json::Map<String, Value>, key: &str| {
                fields.get(key).cloned().unwrap_or_default()
            };
            keys.into_iter()
                .flat_map(|key| differences(&of(a, key), &of(b, key), &format!("{place}/{key}")))
                .collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(index, (a, b))| differences(a, b, &format!("{place}/{index}")))
            .collect(),
        _ if one == other => Vec::new(),
        _ => vec![format!("{place}: {one} ≠ {other}")],
    }
}

#[test]
fn what_is_not_for_an_edge_is_as_in_the_quickstart() -> Result<()> {
    let mut quickstart = configuration("quickstart/envoy.yaml")?;
    let mut load_balancer = configuration("load-balancer/envoy.yaml")?;

    let health = take(&mut load_balancer, "/static_resources/listeners/0")?;
    assert_eq!(health.get("name").and_then(Value::as_str), Some("health"));
    for pointer in ADDED.iter().chain([&OVERLOADED]) {
        take(&mut load_balancer, pointer)?;
    }
    for file in [&mut quickstart, &mut load_balancer] {
        take(file, "LISTENER/address")?;
    }

    let differences = differences(&quickstart, &load_balancer, "");
    ensure!(differences.is_empty(), "quickstart and load balancer:\n{}", differences.join("\n"));
    Ok(())
}

#[test]
fn both_companions_are_configured_alike() -> Result<()> {
    let [quickstart, load_balancer] = [
        configuration("quickstart/companion.yaml")?,
        configuration("load-balancer/companion.yaml")?,
    ];
    assert_eq!(quickstart, load_balancer);
    Ok(())
}

/// The load balancer's Envoy and a companion, in front of a fleet.
struct LoadBalancer {
    _companion: Companion,
    envoy: Envoy,
    health: RawClient,
    url: String,
}

impl LoadBalancer {
    async fn start(fleet: &Fleet) -> Result<Self> {
        let mut options = fleet.stack_options()?;
        let front_proxies = Pki::create(fleet.folder().join("front-proxy"))?;
        options.front_proxy = Some(front_proxies.client("client", "front-proxy-client", &[])?);
        let port = ports::free_port()?;
        let mut companion = Companion::start(CompanionOptions {
            config: options.companion_config(port)?,
            port,
            folder: options.folder.join("companion"),
        })
        .await?;
        companion.wait_ready().await?;

        let published = options.published();
        let published = published.to_str().context("the folder is not UTF-8")?;
        let bootstrap = shipped("load-balancer/envoy.yaml");
        let envoy = EnvoyOptions::from_file(&bootstrap, options.folder.join("envoy"))?
            // Not every machine that runs tests has IPv6.
            .replacing("address: \"::\", ipv4_compat: true", "address: 127.0.0.1")?
            .replacing("port_value: 6443", "port_value: 0")?
            .replacing("port_value: 9901", "port_value: 0")?
            .replacing("port_value: 9903", "port_value: 0")?
            .replacing("/var/lib/mixed-version-proxy/envoy", published)?
            .argument("--drain-time-s")
            .argument("2")
            .argument("--drain-strategy")
            .argument("gradual");
        let envoy = Envoy::start(envoy).await?;
        let health = RawClient::plain(envoy.listener_port("health").await?);
        let url = envoy.url("kubernetes").await?;
        Ok(Self { _companion: companion, envoy, health, url })
    }

    /// What the load balancer in front sees; none when nothing listens.
    async fn health(&self) -> Option<u16> {
        self.health.request("GET", "/healthz", &[], &[]).await.ok().map(|answer| answer.status)
    }
}

/// A client that makes a connection of its own.
async fn get(fleet: &Fleet, url: &str) -> Result<u16> {
    let client: Client = fleet.client(url, Http::Two)?;
    Ok(client.get("/api/v1/namespaces").await?.status.into())
}

#[tokio::test]
async fn the_drain_fails_the_health_check_and_no_request() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let balancer = LoadBalancer::start(&fleet).await?;
    assert_eq!(balancer.health().await, Some(200));
    assert_eq!(balancer.health.request("GET", "/", &[], &[]).await?.status, 404);
    let client = fleet.client(&balancer.url, Http::Two)?;
    let mut watch = client.stream("/api/v1/namespaces?watch=1").await?;
    assert_eq!(watch.status(), 200);

    let log = fleet.folder().join("drain.log");
    let admin = format!("http://127.0.0.1:{}", balancer.envoy.admin_port());
    let mut drain = Program::new("drain", shipped("load-balancer/drain"), log)
        .env("ADMIN", admin)
        .env("NOTICE_SECONDS", "1")
        .env("DRAIN_SECONDS", "2")
        .env("LINGER_SECONDS", "0")
        .spawn()?;

    wait::until("the health check to fail", DEADLINE, async || {
        let health = balancer.health().await;
        ensure!(health == Some(503), "it says {health:?}");
        anyhow::Ok(())
    })
    .await?;
    assert_eq!(get(&fleet, &balancer.url).await?, 200, "while the one in front has not noticed");

    wait::until("the listener to close", DEADLINE, async || {
        match get(&fleet, &balancer.url).await {
            Ok(status) => {
                assert_eq!(status, 200, "while it drains");
                anyhow::bail!("it serves")
            }
            Err(_) => anyhow::Ok(()),
        }
    })
    .await?;
    wait::until("the script to end", DEADLINE, async || {
        let status = drain.exited()?.context("it runs")?;
        ensure!(status.success(), "{}", drain.tail());
        anyhow::Ok(())
    })
    .await?;

    // What had begun goes on until Envoy is ended.
    let quiet = tokio::time::timeout(Duration::from_millis(200), watch.chunk()).await;
    ensure!(quiet.is_err() || matches!(quiet, Ok(Ok(Some(_)))), "the watch has ended");
    Ok(())
}
