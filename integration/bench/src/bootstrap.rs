//! The Envoys that are measured: equal but for the one filter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use discovery_map::{
    BySet, MapDocument, PeerEntry, PeerState, Resources, SCHEMA_VERSION, SetEntry, Versions,
};
use harness::artefacts::{Artefact, integration_folder};
use serde_json::{Value, json};

/// How many resources the map has.
pub const SIZES: [usize; 2] = [100, 5_000];

/// What stands before the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Nothing.
    Plain,
    /// Envoy's Lua filter.
    Lua,
    /// This project's filter.
    Filter,
}

impl Variant {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Lua, Self::Filter];

    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Lua => "lua",
            Self::Filter => "filter",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// An object that every server serves.
    NoSkew,
    /// An object that some servers serve.
    Rerouted,
    /// As `NoSkew`, with 64 KiB there and back.
    Body,
}

impl Case {
    pub const ALL: [Self; 3] = [Self::NoSkew, Self::Rerouted, Self::Body];

    pub fn name(self) -> &'static str {
        match self {
            Self::NoSkew => "no_skew",
            Self::Rerouted => "rerouted",
            Self::Body => "body_64_kib",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::NoSkew | Self::Body => "/apis/team7.example.com/v1/namespaces/default/widgets3/w",
            Self::Rerouted => "/apis/skewed.example.com/v1/namespaces/default/gadgets/g",
        }
    }
}

/// A bootstrap in JSON, which is YAML.
pub fn bootstrap(variant: Variant, resources: usize, upstream: SocketAddr) -> Result<String> {
    let document = document(resources);
    let mut filters = Vec::new();
    match variant {
        Variant::Plain => {}
        Variant::Lua => filters.push(lua(&document)?),
        Variant::Filter => filters.push(filter(&document)?),
    }
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": router, "suppress_envoy_headers": true },
    }));
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "generate_request_id": false,
        "use_remote_address": true,
        "route_config": routes(),
        "http_filters": filters,
    });
    let bootstrap = json!({
        "node": { "id": "bench", "cluster": "bench" },
        "admin": { "address": loopback(0) },
        "static_resources": {
            "listeners": [{
                "name": "bench",
                "address": loopback(0),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }] }],
            }],
            "clusters": [cluster("default", upstream), cluster("skewed", upstream)],
        },
    });
    Ok(serde_json::to_string(&bootstrap)?)
}

fn routes() -> Value {
    let header = discovery_map::CLUSTER_HEADER;
    json!({
        "internal_only_headers": [header],
        "virtual_hosts": [{
            "name": "bench",
            "domains": ["*"],
            "routes": [
                {
                    "match": { "prefix": "/", "headers": [{ "name": header, "present_match": true }] },
                    "route": { "cluster_header": header, "timeout": "0s" },
                },
                { "match": { "prefix": "/" }, "route": { "cluster": "default", "timeout": "0s" } },
            ],
        }],
    })
}

fn loopback(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn cluster(name: &str, upstream: SocketAddr) -> Value {
    let endpoint = json!({ "endpoint": { "address": loopback(upstream.port()) } });
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
    })
}

/// A map of two peers with this many resources, five to a group.
fn document(resources: usize) -> MapDocument {
    let serving = |name: &str| PeerEntry { name: name.into(), state: PeerState::Serving };
    let version = |set: u16, namespaced: Vec<String>| {
        let resources = Resources { namespaced, cluster_scoped: Vec::new() };
        let by_set = BySet(BTreeMap::from([(set, resources)]));
        Versions(BTreeMap::from([("v1".to_owned(), by_set)]))
    };
    let mut groups: BTreeMap<_, _> = (0..resources / 5)
        .map(|group| {
            let widgets = (0..5).map(|kind| format!("widgets{kind}")).collect();
            (format!("team{group}.example.com"), version(0, widgets))
        })
        .collect();
    groups.insert("skewed.example.com".into(), version(1, vec!["gadgets".into()]));
    MapDocument {
        schema_version: SCHEMA_VERSION,
        generation: 1,
        complete: true,
        default_cluster: "default".into(),
        identity: discovery_map::IdentityHeaders::default(),
        peers: vec![serving("cp-1"), serving("cp-2")],
        sets: vec![
            SetEntry { peers: vec![0, 1], cluster: Some("default".into()) },
            SetEntry { peers: vec![1], cluster: Some("skewed".into()) },
        ],
        widest_view: 1,
        groups,
        documents: Vec::new(),
        open_api: discovery_map::OpenApi::default(),
        strict_not_found: None,
    }
}

/// The filter as the companion publishes it, with this map.
fn filter(document: &MapDocument) -> Result<Value> {
    const WASM: &str = "/typed_config/extension_config/typed_config/config";
    let golden = integration_folder().join("../companion/golden/resources.json");
    let published: Value = serde_json::from_slice(&fs::read(golden)?)?;
    let resources = published.get("resources").and_then(Value::as_array).context("no resources")?;
    let mut filter = resources.last().context("no filter")?.clone();
    if let Some(resource) = filter.as_object_mut() {
        // It stands in the listener's chain here, and not by itself.
        resource.remove("@type");
    }
    let wasm = filter.pointer_mut(WASM).context("the last resource is not the filter")?;
    for (place, value) in [
        ("/configuration/value", json!(document.to_json()?)),
        ("/vm_config/code/local/filename", json!(Artefact::Filter.path()?)),
    ] {
        *wasm.pointer_mut(place).with_context(|| format!("no {place}"))? = value;
    }
    Ok(filter)
}

fn lua(document: &MapDocument) -> Result<Value> {
    let mut targets = String::new();
    for (group, versions) in &document.groups {
        for (version, by_set) in &versions.0 {
            for (set, resources) in &by_set.0 {
                for resource in resources.namespaced.iter().chain(&resources.cluster_scoped) {
                    writeln!(targets, "  [\"{group}/{version}/{resource}\"] = {set},")?;
                }
            }
        }
    }
    let template = fs::read_to_string(integration_folder().join("bench/src/lookup.lua.in"))?;
    Ok(json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": template.replace("@TARGETS@", &targets) },
        },
    }))
}
