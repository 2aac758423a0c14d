//! How fast one client gets a list of 36 MB, with the windows that are shipped and with those of before,
//! which let one client stall others (ADR 0033). Both Envoys are in front of the same API servers, and
//! are measured in turns.
//!
//! ```text
//!   client ─┬▶ Envoy (load-balancer/envoy.yaml)            ─┬▶ API servers
//!           └▶ the same, with the windows of before        ─┘
//! ```

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::envoy::Envoy;
use harness::large_list;
use harness::load_balancer::LoadBalancer;
use harness::measure::median;
use harness::report::Entry;
use harness::site::stack_options;
use harness::skew::NEWER;
use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use serde_json::{Value, json};
use wire::client::{Client, Http};

const ROUNDS: usize = 31;

/// How much longer the shipped windows may take. Medians vary by up to 6% (ADR 0033).
const MOST: f64 = 1.1;

/// The windows before: this one for a stream, and Envoy's default for a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: &str = "initial_connection_window_size";

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[tokio::test]
async fn the_shipped_windows_make_no_client_slower() -> Result<()> {
    let servers = ["a", "b"].map(|name| ServerOptions::new(name, NEWER));
    let plane = ControlPlane::start_with(servers.into()).await?;
    let admin = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
    large_list::create(&admin).await?;
    let host = LoadBalancer::start(stack_options(&plane, "stack")?, &[]).await?;
    let other = with_windows_of_before(&host).await?;
    let other = format!("https://127.0.0.1:{}", other.listener_port("kubernetes").await?);
    let client = |url: &str| plane.client(url, User::Admin, Http::Two);
    let (shipped, before) = (client(&host.url())?, client(&other)?);

    let mut entry = Entry::begin("slow_throughput");
    for (form, accept, encoding) in
        [("json", JSON, "identity"), ("protobuf", PROTOBUF, "identity"), ("gzip", JSON, "gzip")]
    {
        let (mut times, mut ratios) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let mut pair = [Duration::ZERO; 2];
            let mut clients = [(0, &shipped), (1, &before)];
            // Whoever is first finds colder caches.
            if round % 2 == 0 {
                clients.reverse();
            }
            for (at, client) in clients {
                pair[at] = time(client, accept, encoding).await?;
            }
            let [shipped, before] = pair.map(|time| time.as_secs_f64());
            // The first round connects, and fills caches.
            if round > 0 {
                times.push(shipped);
                ratios.push(shipped / before);
            }
        }
        let (time, ratio) = (median(times), median(ratios));
        entry.set(form, json!({ "seconds": time, "ofWindowsOfBefore": ratio }));
        ensure!(ratio <= MOST, "{form}: {ratio} of the time with the windows of before");
    }
    entry.passed()
}

/// Returns how long a client takes for the whole list.
async fn time(client: &Client, accept: &str, encoding: &str) -> Result<Duration> {
    let request = client.request(Method::GET, large_list::PATH);
    let request = request.header(ACCEPT, accept).header(ACCEPT_ENCODING, encoding);
    let begun = Instant::now();
    let answer = client.send(request).await?.ok()?;
    let took = begun.elapsed();
    let compressed = answer.header("content-encoding") == Some("gzip");
    ensure!(compressed == (encoding == "gzip"), "{:?}", answer.headers);
    ensure!(compressed || answer.body.len() >= large_list::BYTES, "{} bytes", answer.body.len());
    Ok(took)
}

/// Starts another Envoy with the same files, but for the windows of its clusters.
async fn with_windows_of_before(host: &LoadBalancer) -> Result<Envoy> {
    let mut options = host.envoy.options().clone();
    options.folder = options.folder.with_extension("windows-of-before");
    fs::create_dir_all(&options.folder)?;
    let key = "path_config_source: { path: ";
    let mut paths = options.bootstrap.split(key).skip(1).filter_map(|rest| rest.split_once(" }"));
    let (shipped, _) = paths.find(|(path, _)| path.ends_with("cds.json")).context("no clusters")?;
    let (shipped, own) = (shipped.to_owned(), options.folder.join("cds.json"));
    let mut clusters: Value = serde_json::from_str(&fs::read_to_string(&shipped)?)?;
    ensure!(restore(&mut clusters) > 0, "no cluster has a window: {clusters:#}");
    fs::write(&own, clusters.to_string())?;
    let options = options.replacing(&shipped, own.to_str().context("not UTF-8")?)?;
    Envoy::start(options).await
}

/// Replaces the windows everywhere in a document. Returns how often it did.
fn restore(value: &mut Value) -> usize {
    let mut replaced = 0;
    if let Some(fields) = value.as_object_mut() {
        if let Some(window) = fields.get_mut("initial_stream_window_size") {
            *window = STREAM_WINDOW.into();
            fields.remove(CONNECTION_WINDOW);
            replaced += 1;
        }
        replaced += fields.values_mut().map(restore).sum::<usize>();
    }
    if let Some(items) = value.as_array_mut() {
        replaced += items.iter_mut().map(restore).sum::<usize>();
    }
    replaced
}
