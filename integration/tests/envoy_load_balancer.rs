//! `envoy-config/load-balancer` handles requests like the quickstart.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use harness::artifacts::integration_folder;
use serde_json::Value;

/// The main listener, in both files after the other listener is removed.
const LISTENER: &str = "/static_resources/listeners/0";

/// What only the load balancer has, as JSON pointers; `LISTENER` and `HTTP`
/// stand for the listener that serves and for its connection manager.
const ADDED: [&str; 11] = [
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
];

/// The answer when Envoy is overloaded, which precedes the answers that both have.
const OVERLOADED: &str = "HTTP/local_reply_config/mappers/0";

fn shipped(file: &str) -> PathBuf {
    integration_folder().join("../envoy-config").join(file)
}

fn configuration(file: &str) -> Result<Value> {
    let file = shipped(file);
    let text = fs::read_to_string(&file)?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is not valid YAML", file.display()))
}

/// Removes the value at a pointer. Fails if it does not exist.
fn take(value: &mut Value, pointer: &str) -> Result<Value> {
    let http = format!("{LISTENER}/filter_chains/0/filters/0/typed_config");
    let pointer = pointer.replace("LISTENER", LISTENER).replace("HTTP", &http);
    let (parent, key) = pointer.rsplit_once('/').context("no pointer")?;
    let taken = match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.remove(key),
        Some(Value::Array(entries)) => key.parse().ok().map(|index: usize| entries.remove(index)),
        _ => None,
    };
    taken.with_context(|| format!("{pointer} does not exist"))
}

/// Returns every place in which the two differ.
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
fn the_load_balancer_differs_from_the_quickstart_only_in_edge_settings() -> Result<()> {
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

/// Envoy uses the priorities that it computed at the `update_frequency`-th attempt also for the
/// attempts after the next one. If one of those goes to a cluster with fewer, Envoy crashes.
#[test]
fn no_retry_follows_the_one_that_leaves_a_priority() -> Result<()> {
    for file in ["quickstart/envoy.yaml", "load-balancer/envoy.yaml"] {
        let (configuration, mut policies) = (configuration(file)?, Vec::new());
        retry_policies(&configuration, &mut policies);
        ensure!(!policies.is_empty(), "{file} has no retry policy");
        for policy in policies {
            let Some(priority) = policy.get("retry_priority") else { continue };
            let frequency = priority.pointer("/typed_config/update_frequency");
            let [frequency, retries] = [frequency, policy.get("num_retries")]
                .map(|number| number.and_then(Value::as_u64).unwrap_or_default());
            ensure!(retries <= frequency, "{file}: {retries} retries, {frequency}");
            ensure!(policy.get("refresh_cluster_on_retry").is_none(), "{file}: {policy}");
        }
    }
    Ok(())
}

fn retry_policies<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("retry_policy"));
            fields.values().for_each(|field| retry_policies(field, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| retry_policies(entry, found)),
        _ => {}
    }
}
