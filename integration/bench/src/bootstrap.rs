//! The Envoys that are measured. They differ in one filter only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use companion::xds::{FilterConfig, Module};
use discovery_map::{
    BySet, MapDocument, MinorVersion, PeerEntry, PeerState, Resources, SCHEMA_VERSION, SetEntry,
    Versions,
};
use serde_json::{Value, json};

/// The numbers of resources in the map.
pub const SIZES: [usize; 2] = [100, 5_000];

/// The cluster of all servers for components of 1.37.
const FOR_COMPONENTS: &str = "default__from-1-37";

/// The filter before the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// None.
    Plain,
    /// Envoy's Lua filter.
    Lua,
    /// Another build of this project's filter, with that for the servers beside it.
    Baseline,
    /// This project's filter.
    Filter,
    /// The same, in a VM that serves another control plane too.
    Shared,
    /// The same as the filter, with a map of servers that have different versions.
    Versions,
}

impl Variant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Lua => "lua",
            Self::Baseline => "baseline",
            Self::Filter => "filter",
            Self::Shared => "shared",
            Self::Versions => "versions",
        }
    }
}

/// The requests of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// GET of an object that every server serves.
    NoSkew,
    /// GET of an object that some servers serve.
    Rerouted,
    /// PUT of an object that every server serves, with 64 KiB in each direction.
    Body,
    /// GET of an object that every server serves, by a component of Kubernetes. If servers have different
    /// versions, it is rerouted to those that are as new as itself.
    Component,
}

impl Case {
    pub const ALL: [Self; 4] = [Self::NoSkew, Self::Rerouted, Self::Body, Self::Component];

    pub fn name(self) -> &'static str {
        match self {
            Self::NoSkew => "no_skew",
            Self::Rerouted => "rerouted",
            Self::Body => "body_64_kib",
            Self::Component => "component",
        }
    }

    pub fn path(self) -> &'static str {
        match self {
            Self::NoSkew | Self::Body | Self::Component => {
                "/apis/team7.example.com/v1/namespaces/default/widgets3/w"
            }
            Self::Rerouted => "/apis/skewed.example.com/v1/namespaces/default/gadgets/g",
        }
    }

    pub fn user_agent(self) -> &'static str {
        match self {
            Self::Component => "kubelet/v1.37.0 (linux/amd64) kubernetes/1a2b3c4",
            Self::NoSkew | Self::Rerouted | Self::Body => "bench",
        }
    }
}

/// The files that the Envoys are made of.
#[derive(Debug)]
pub struct Setup {
    /// Where they send requests.
    pub upstream: SocketAddr,
    /// This project's filter.
    pub filter: PathBuf,
    /// Another build of it.
    pub baseline: Option<PathBuf>,
}

impl Setup {
    /// Returns all variants, in the order in which they are reported.
    pub fn variants(&self) -> Vec<Variant> {
        let baseline = self.baseline.is_some().then_some(Variant::Baseline);
        let others = [Variant::Plain, Variant::Lua].into_iter().chain(baseline);
        others.chain([Variant::Filter, Variant::Shared, Variant::Versions]).collect()
    }

    /// Returns the module of a variant, as it serves its control planes; the requests are for the
    /// first one. None if it has no module.
    fn modules(&self, variant: Variant) -> Result<Vec<Module>> {
        let of_many = |name: &str| {
            let control_plane = name.parse().map_err(anyhow::Error::msg)?;
            let file = self.filter.clone();
            anyhow::Ok(Module { file, control_plane: Some(control_plane) })
        };
        match variant {
            Variant::Plain | Variant::Lua => Ok(Vec::new()),
            Variant::Baseline => Ok(self.baseline.iter().map(Module::of_only).collect()),
            Variant::Filter | Variant::Versions => Ok(vec![Module::of_only(&self.filter)]),
            Variant::Shared => Ok(vec![of_many("first")?, of_many("second")?]),
        }
    }
}

/// Returns the bootstrap of a variant in JSON, which is YAML.
pub fn bootstrap(setup: &Setup, variant: Variant, resources: usize) -> Result<String> {
    let mut document = document(resources);
    if variant == Variant::Versions {
        set_versions(&mut document);
    }
    let modules = setup.modules(variant)?;
    let mut listeners = Vec::new();
    if modules.is_empty() {
        let lua = (variant == Variant::Lua).then(|| lua(&document)).transpose()?;
        listeners.push(listener("bench", false, lua));
    }
    for (module, name) in modules.iter().zip(["bench", "other"]) {
        listeners.push(listener(name, true, Some(filter(&document, module)?)));
    }
    let bootstrap = json!({
        "node": { "id": "bench", "cluster": "bench" },
        "admin": { "address": loopback(0) },
        "static_resources": {
            "listeners": listeners,
            "clusters": clusters(setup.upstream, &modules),
        },
    });
    Ok(serde_json::to_string(&bootstrap)?)
}

fn listener(name: &str, ask_again: bool, filter: Option<Value>) -> Value {
    let mut filters: Vec<_> = filter.into_iter().collect();
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
        "route_config": routes(ask_again),
        "http_filters": filters,
    });
    json!({
        "name": name,
        "address": loopback(0),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }] }],
    })
}

/// Returns the routes; those that ask another server after a type-level 404 are
/// part of what the filter costs.
fn routes(ask_again: bool) -> Value {
    let header = discovery_map::CLUSTER_HEADER;
    let (named, default) = if ask_again {
        let named = json!({ "clusters": [{ "cluster_header": header, "weight": 1 }] });
        let named = json!({ "weighted_clusters": named, "timeout": "0s", "retry_policy": retry() });
        let default = json!({
            "inline_cluster_specifier_plugin": default_or_rotation(),
            "timeout": "0s",
            "retry_policy": retry(),
        });
        (named, default)
    } else {
        // As it was before servers were asked again: a failed connection is retried.
        let retry = json!({
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 5,
        });
        let named = json!({ "cluster_header": header, "timeout": "0s", "retry_policy": retry });
        (named, json!({ "cluster": "default", "timeout": "0s", "retry_policy": retry }))
    };
    json!({
        "internal_only_headers": [header],
        "virtual_hosts": [{
            "name": "bench",
            "domains": ["*"],
            "include_request_attempt_count": ask_again,
            "request_headers_to_remove": if ask_again { vec!["x-envoy-attempt-count"] } else { Vec::new() },
            "routes": [
                {
                    "match": { "prefix": "/", "headers": [{ "name": header, "present_match": true }] },
                    "route": named,
                },
                { "match": { "prefix": "/" }, "route": default },
            ],
        }],
    })
}

fn loopback(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// As in `envoy-config`.
fn retry() -> Value {
    json!({
        "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-headers",
        "retriable_headers": [{
            "name": discovery_map::DOUBT_HEADER,
            "string_match": { "exact": discovery_map::DOUBT_MARK },
        }],
        "refresh_cluster_on_retry": true,
        "num_retries": 8,
    })
}

/// As in `envoy-config`.
fn default_or_rotation() -> Value {
    let specifier = "type.googleapis.com/envoy.extensions.router.cluster_specifiers.matcher.v3";
    let to = |cluster: &str| {
        let action = format!("{specifier}.ClusterAction");
        json!({ "action": {
            "name": cluster,
            "typed_config": { "@type": action, "cluster": cluster },
        } })
    };
    let input = "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3";
    let key = "wasm.mixed-version-proxy-denied";
    let denied = json!({ "single_predicate": {
        "input": {
            "name": "denied",
            "typed_config": { "@type": format!("{input}.FilterStateInput"), "key": key },
        },
        "value_match": { "contains": ":" },
    } });
    json!({ "extension": {
        "name": "envoy.router.cluster_specifier_plugin.matcher",
        "typed_config": {
            "@type": format!("{specifier}.MatcherClusterSpecifier"),
            "cluster_matcher": {
                "matcher_list": { "matchers": [{ "predicate": denied, "on_match": to("skewed") }] },
                "on_no_match": to("default"),
            },
        },
    } })
}

/// Returns the clusters of all control planes; the filters at the servers are part of what the
/// filter costs.
fn clusters(upstream: SocketAddr, modules: &[Module]) -> Value {
    let of = |name: &str, suffix: &str, module: Option<&Module>| {
        let mut cluster = cluster(&format!("{name}{suffix}"), upstream);
        if let (Some(module), Some(fields)) = (module, cluster.as_object_mut()) {
            // As the companion does it: after a denial, a request leaves the cluster of a set.
            let after_denial = (name != "default").then_some("default");
            let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
            let filters = json!({ options: {
                "@type": format!("type.googleapis.com/{options}"),
                "explicit_http_config": { "http_protocol_options": {} },
                "http_filters": companion::xds::upstream_filters(after_denial, module),
            } });
            fields.insert("typed_extension_protocol_options".to_owned(), filters);
        }
        cluster
    };
    let names = ["default", "skewed", FOR_COMPONENTS];
    let first = names.map(|name| of(name, "", modules.first()));
    let others = modules.iter().skip(1);
    let others = others.flat_map(|module| names.map(|name| of(name, "-other", Some(module))));
    Value::Array(first.into_iter().chain(others).collect())
}

fn cluster(name: &str, upstream: SocketAddr) -> Value {
    let endpoint = json!({ "endpoint": { "address": loopback(upstream.port()) } });
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
    })
}

/// Returns a map of two peers with this many resources, five to a group.
fn document(resources: usize) -> MapDocument {
    let serving =
        |name: &str| PeerEntry { name: name.into(), state: PeerState::Serving, version: None };
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
        mode: discovery_map::Mode::Enforce,
        decision_header_groups: Vec::new(),
        default_cluster: "default".into(),
        identity: discovery_map::IdentityHeaders::default(),
        peers: vec![serving("cp-1"), serving("cp-2")],
        sets: vec![
            SetEntry {
                peers: vec![0, 1],
                cluster: Some("default".into()),
                at_least: BTreeMap::new(),
            },
            SetEntry { peers: vec![1], cluster: Some("skewed".into()), at_least: BTreeMap::new() },
        ],
        widest_view: 1,
        groups,
        documents: Vec::new(),
        rotation: vec!["10.0.0.1:6443".into(), "10.0.0.2:6443".into()],
        just_left: false,
        open_api: discovery_map::OpenApi::default(),
        verbs: Default::default(),
        strict_not_found: discovery_map::Ignored,
    }
}

/// Gives the servers different versions: `cp-1` is 1.36, `cp-2` is 1.37.
fn set_versions(document: &mut MapDocument) {
    let versions = [36, 37].map(|minor| MinorVersion::new(1, minor));
    for set in &mut document.sets {
        let of = |peer: &u16| versions.get(usize::from(*peer)).copied();
        let cluster = set.cluster.as_deref().unwrap_or_default();
        set.at_least = discovery_map::at_least(cluster, set.peers.iter().map(of));
    }
    for (peer, version) in document.peers.iter_mut().zip(versions) {
        peer.version = Some(version);
    }
}

/// Returns the filter as the companion publishes it, with this map.
fn filter(document: &MapDocument, module: &Module) -> Result<Value> {
    let filter = FilterConfig { map: document.to_json()?, module: module.clone() };
    let mut filter = filter.to_json();
    if let Some(resource) = filter.as_object_mut() {
        // A filter in a listener's chain has no type of its own.
        resource.remove("@type");
    }
    Ok(filter)
}

fn lua(document: &MapDocument) -> Result<Value> {
    let mut targets = String::new();
    for (group, version, set, resources) in document.resources_by_set() {
        for resource in resources.names() {
            writeln!(targets, "  [\"{group}/{version}/{resource}\"] = {set},")?;
        }
    }
    let template = include_str!("lookup.lua.in");
    Ok(json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": template.replace("@TARGETS@", &targets) },
        },
    }))
}
