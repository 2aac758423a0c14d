//! All shipped configurations handle requests like the quickstart.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use harness::artifacts::integration_folder;
use harness::differences::differences;
use serde_json::{Value, json};

/// The configurations that are shipped.
const FILES: [&str; 5] = [
    "quickstart/envoy.yaml",
    "load-balancer/envoy.yaml",
    "control-plane-node/envoy.yaml",
    "fleet/envoy.yaml",
    "shared-ingress/listener.yaml",
];

/// The main listener of a file, once the other listener is removed.
const LISTENER: &str = "/static_resources/listeners/0";

/// What only the load balancer has, as JSON pointers; `LISTENER` and `HTTP`
/// stand for the listener that serves and for its connection manager.
const ADDED: [&str; 11] = [
    "/layered_runtime",
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
fn a_control_plane_node_differs_from_the_load_balancer_only_in_local_paths_and_the_pass_through()
-> Result<()> {
    let mut load_balancer = configuration("load-balancer/envoy.yaml")?;
    let mut node = configuration("control-plane-node/envoy.yaml")?;
    let clusters = take(&mut node, "/static_resources/clusters")?;
    let pass_through = take(&mut node, "/static_resources/listeners/1")?;
    for file in [&mut load_balancer, &mut node] {
        take(file, "/static_resources/listeners/0")?;
        take(file, "LISTENER/address")?;
    }
    let host = "HTTP/route_config/virtual_hosts/0";
    take(&mut node, &format!("{host}/request_headers_to_add"))?;
    let added = std::iter::repeat_with(|| take(&mut node, &format!("{host}/routes/0")));
    let added = added.take(7).collect::<Result<Vec<_>>>()?;
    let differences = differences(&load_balancer, &node, "");
    ensure!(differences.is_empty(), "load balancer and node:\n{}", differences.join("\n"));

    // Neither the pass-through port nor a local path can get anywhere but to the node's server.
    let to = "/filter_chains/0/filters/0/typed_config/cluster";
    assert_eq!(pass_through.pointer(to), Some(&json!("pass-through")));
    let mut addresses = Vec::new();
    values_of("socket_address", &clusters, &mut addresses);
    assert_eq!(addresses, [&json!({ "address": "127.0.0.1", "port_value": 6443 })]);
    let clusters = added.iter().filter_map(|route| route.pointer("/route/cluster"));
    let (twin, local) = ("kube-apiserver__local__front-proxy", "kube-apiserver__local");
    assert_eq!(clusters.collect::<Vec<_>>(), [twin, twin, local, local, local, local]);
    ensure!(added.iter().all(|route| route.pointer("/route/retry_policy").is_none()), "{added:#?}");
    Ok(())
}

/// The fields that bound what is under way on a connection of HTTP/2.
const STREAMS: [&str; 3] =
    ["max_concurrent_streams", "initial_stream_window_size", "initial_connection_window_size"];

#[test]
fn each_connection_has_room_for_what_all_its_streams_may_hold() -> Result<()> {
    let patches = ["envoy-gateway/patch.yaml", "istio/patch.yaml"];
    for file in FILES.iter().chain(&patches) {
        let mut configuration = configuration(file)?;
        // One stream carries all resources of an Envoy.
        if let Some(clusters) = configuration.pointer_mut("/static_resources/clusters") {
            *clusters = Value::Null;
        }
        let mut all = Vec::new();
        values_of("http2_protocol_options", &configuration, &mut all);
        ensure!(!all.is_empty(), "{file} has no options of HTTP/2");
        for options in all {
            let number = |field: &str| options.get(field).and_then(Value::as_u64);
            let [Some(streams), Some(stream), Some(connection)] = STREAMS.map(number) else {
                anyhow::bail!("{file} does not set {STREAMS:?}: {options}");
            };
            ensure!(streams * stream <= connection, "{file}: {options}");
        }
    }
    Ok(())
}

/// Where an Envoy of the fleet gets resources, as JSON pointers, or who it is.
const SOURCES: [&str; 5] = [
    "/node/id",
    "/dynamic_resources",
    "LISTENER/filter_chains/0/transport_socket/typed_config/common_tls_context/tls_certificate_sds_secret_configs/0/sds_config/path_config_source",
    "LISTENER/filter_chains/0/transport_socket/typed_config/common_tls_context/validation_context_sds_secret_config/sds_config/path_config_source",
    "HTTP/http_filters/0/config_discovery/config_source",
];

#[test]
fn the_fleet_differs_from_the_load_balancer_only_in_where_resources_come_from() -> Result<()> {
    let mut load_balancer = configuration("load-balancer/envoy.yaml")?;
    let mut fleet = configuration("fleet/envoy.yaml")?;
    // The companions.
    take(&mut fleet, "/static_resources/clusters")?;
    for file in [&mut load_balancer, &mut fleet] {
        let health = take(file, "/static_resources/listeners/0")?;
        assert_eq!(health.get("name").and_then(Value::as_str), Some("health"));
        for pointer in SOURCES {
            take(file, pointer)?;
        }
    }
    let differences = differences(&load_balancer, &fleet, "");
    ensure!(differences.is_empty(), "load balancer and fleet:\n{}", differences.join("\n"));
    Ok(())
}

/// What only the listener of many control planes has, as JSON pointers below it.
const OF_MANY: [&str; 6] = [
    "LISTENER/listener_filters",
    "LISTENER/listener_filters_timeout",
    "LISTENER/continue_on_listener_filters_timeout",
    "LISTENER/access_log/0/typed_config/log_format/json_format/server_name",
    "HTTP/access_log/0/typed_config/log_format/json_format/control_plane",
    "LISTENER/filter_chains/0/transport_socket/typed_config/common_tls_context/validation_context_sds_secret_config/sds_config/ads",
];

/// What names one control plane, and where resources come from.
const NAMES: [&str; 6] = [
    "HTTP/stat_prefix",
    "HTTP/route_config/name",
    "HTTP/http_filters/0/name",
    "HTTP/http_filters/0/config_discovery/config_source",
    "LISTENER/filter_chains/0/transport_socket/typed_config/common_tls_context/tls_certificate_sds_secret_configs/0/sds_config/path_config_source",
    "LISTENER/filter_chains/0/transport_socket/typed_config/common_tls_context/validation_context_sds_secret_config/name",
];

#[test]
fn the_template_of_many_control_planes_differs_from_the_fleet_only_in_names() -> Result<()> {
    let mut fleet = configuration("fleet/envoy.yaml")?;
    take(&mut fleet, "/static_resources/listeners/0")?;
    take(
        &mut fleet,
        "LISTENER/filter_chains/0/transport_socket/typed_config/common_tls_context/validation_context_sds_secret_config/sds_config/path_config_source",
    )?;
    let text = fs::read_to_string(shipped("shared-ingress/listener.yaml"))?;
    let text = text.replace("${control_plane}", "kube-apiserver");
    let mut template =
        json!({ "static_resources": { "listeners": [serde_saphyr::from_str::<Value>(&text)?] } });
    for pointer in OF_MANY {
        take(&mut template, pointer)?;
    }
    for file in [&mut fleet, &mut template] {
        for pointer in NAMES {
            take(file, pointer)?;
        }
        take_choice_by_header(file)?;
    }
    let [fleet, template] = [&fleet, &template].map(|file| file.pointer(LISTENER));
    let differences = differences(fleet.context("no listener")?, template.context("none")?, "");
    ensure!(differences.is_empty(), "fleet and shared ingress:\n{}", differences.join("\n"));
    Ok(())
}

/// Removes from each route how it looks at the header that names a cluster. The fleet looks whether
/// it is there; with many control planes, the cluster must be one of the control plane.
fn take_choice_by_header(file: &mut Value) -> Result<()> {
    let http = format!("{LISTENER}/filter_chains/0/filters/0/typed_config");
    let routes = file.pointer_mut(&format!("{http}/route_config/virtual_hosts/0/routes"));
    let routes = routes.and_then(Value::as_array_mut).context("no routes")?;
    let cluster = "x-mixed-version-proxy-cluster";
    let present = json!({ "name": cluster, "present_match": true });
    let own = json!({ "name": cluster, "string_match": { "prefix": "kube-apiserver_" } });
    for headers in routes.iter_mut().filter_map(|route| route.pointer_mut("/match/headers")) {
        let headers = headers.as_array_mut().context("no list")?;
        headers.retain(|header| ![&present, &own].contains(&header));
    }
    Ok(())
}

#[test]
fn the_bootstrap_of_the_shared_ingress_differs_from_the_fleet_only_in_its_listener() -> Result<()> {
    let [mut fleet, mut shared] =
        [configuration("fleet/envoy.yaml")?, configuration("shared-ingress/envoy.yaml")?];
    take(&mut fleet, "/static_resources/listeners/1")?;
    // Healthy once it has the clusters of one control plane, which are not those of all.
    take(&mut fleet, "HTTP/http_filters/0/typed_config/cluster_min_healthy_percentages")?;
    take(&mut fleet, "/node/cluster")?;
    for added in ["/node/cluster", "/dynamic_resources/lds_config", "/deferred_stat_options"] {
        take(&mut shared, added)?;
    }
    let differences = differences(&fleet, &shared, "");
    ensure!(differences.is_empty(), "fleet and shared ingress:\n{}", differences.join("\n"));
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

/// Envoy 1.40 reads beyond the priorities of a cluster, and crashes, if `previous_priorities` has
/// seen more of them in the cluster of an earlier attempt (ADR 0016). So a retry that may go to
/// another cluster must not choose a priority.
#[test]
fn no_retry_that_chooses_a_cluster_chooses_a_priority() -> Result<()> {
    for file in FILES {
        let (configuration, mut policies) = (configuration(file)?, Vec::new());
        values_of("retry_policy", &configuration, &mut policies);
        // That of the ADS stream has no route.
        policies.retain(|policy| policy.get("retry_on").is_some());
        ensure!(!policies.is_empty(), "{file} has no retry policy");
        for policy in policies {
            ensure!(
                policy.get("refresh_cluster_on_retry") == Some(&json!(true)),
                "{file}: {policy}"
            );
            ensure!(policy.get("retry_priority").is_none(), "{file}: {policy}");
        }
    }
    Ok(())
}

/// An attempt that the map of attempts left out would be back at servers that failed.
#[test]
fn every_attempt_from_the_fifth_on_goes_to_the_rotation() -> Result<()> {
    for file in FILES {
        let (configuration, mut policies, mut maps) =
            (configuration(file)?, Vec::new(), Vec::new());
        values_of("retry_policy", &configuration, &mut policies);
        let retries = policies.iter().filter_map(|policy| policy.get("num_retries")?.as_u64());
        let attempts = retries.max().context("no retry policy")? + 1;
        values_of("exact_match_map", &configuration, &mut maps);
        ensure!(maps.len() == 4, "{file}: {} routes choose by the attempt", maps.len());
        for map in maps {
            let map = map.get("map").and_then(Value::as_object).context("no map")?;
            let found: BTreeSet<_> = map.keys().cloned().collect();
            let expected = (5..=attempts).map(|attempt| attempt.to_string()).collect();
            ensure!(found == expected, "{file}: {found:?}");
            for cluster in map.values().map(|to| to.pointer("/action/typed_config/cluster")) {
                let cluster = cluster.and_then(Value::as_str).context("no cluster")?;
                let cluster = cluster.replace("${control_plane}", "kube-apiserver");
                ensure!(cluster.starts_with("kube-apiserver__rotation"), "{file}: {cluster}");
            }
        }
    }
    Ok(())
}

/// Collects what every field of this name has.
fn values_of<'v>(name: &str, value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(name));
            fields.values().for_each(|field| values_of(name, field, found));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| values_of(name, entry, found)),
        _ => {}
    }
}
