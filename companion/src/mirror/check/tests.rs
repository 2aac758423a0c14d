//! Sets that lack one thing each.

use envoy_types::pb::google::protobuf::Any;
use serde_json::json;

use super::*;
use crate::xds::{FilterConfig, Module};

type One = (Kind, &'static str, &'static str, Value);

fn resource((kind, name, version, json): &One) -> Resource {
    let mut json = json.clone();
    json["@type"] = kind.url().into();
    let any = Any { type_url: kind.url().into(), value: xds::encode(json).unwrap() };
    let (name, version) = ((*name).to_owned(), (*version).to_owned());
    Resource { name, version, resource: Some(any), ..Default::default() }
}

fn check(all: &[One]) -> Result<(), Incomplete> {
    let mut checker = Checker::default();
    for one in all {
        checker.take(one.0, [&resource(one)], &[]);
    }
    checker.check()
}

fn typed(name: &str, mut json: Value) -> Value {
    json["@type"] = format!("type.googleapis.com/envoy.extensions.{name}").into();
    json
}

fn by_ads(name: &str) -> Value {
    json!({ "name": name, "sdsConfig": { "ads": {} } })
}

fn map(prefix: &str) -> Value {
    let map = json!({ "defaultCluster": prefix, "sets": [{ "cluster": format!("{prefix}_b") }, {}], "new": 1 });
    FilterConfig { map: map.to_string(), module: Module::of_only("/f") }.to_json()
}

/// Returns a filter chain for these server names, which asks for an authority and for its connection
/// manager.
fn chain(prefix: &str, names: &[&str]) -> Value {
    let tls = typed(
        "transport_sockets.tls.v3.DownstreamTlsContext",
        json!({
            "commonTlsContext": { "validationContextSdsSecretConfig": by_ads(&format!("{prefix}/client-ca")) },
        }),
    );
    let manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    json!({
        "name": prefix,
        "filterChainMatch": { "serverNames": names },
        "transportSocket": { "name": "tls", "typedConfig": tls },
        "filters": [{
            "name": format!("{FILTER_NAME}/{prefix}/connections"),
            "configDiscovery": { "configSource": { "ads": {} }, "typeUrls": [manager] },
        }],
    })
}

fn connections() -> Value {
    let filter = |name: &str, more: Value| {
        let mut discovery = json!({ "configSource": { "ads": {} }, "typeUrls": ["a"] });
        discovery.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "name": name, "configDiscovery": discovery })
    };
    let default = typed("filters.http.router.v3.Router", json!({}));
    let manager = "filters.network.http_connection_manager.v3.HttpConnectionManager";
    let default = json!({ "defaultConfig": default });
    let filters = [filter("absent", default), filter("another", json!({}))];
    json!({ "typedConfig": typed(manager, json!({ "httpFilters": filters })) })
}

/// A control plane whose cluster `a` has an authority from the stream.
fn alone() -> Vec<One> {
    let tls = typed(
        "transport_sockets.tls.v3.UpstreamTlsContext",
        json!({
            "commonTlsContext": { "validationContextSdsSecretConfig": by_ads("ca") },
        }),
    );
    let tls = json!({ "transportSocket": { "name": "tls", "typedConfig": tls } });
    vec![
        (Kind::Filter, "mixed-version-proxy", "1", map("a")),
        (Kind::Clusters, "a", "1", tls),
        (Kind::Clusters, "a_b", "1", json!({})),
        (Kind::Clusters, "a__rotation", "1", json!({})),
        (Kind::Secrets, "ca", "1", json!({})),
        (Kind::Endpoints, "a", "10.0.0.1:1", json!({})),
        (Kind::Endpoints, "a_b", "", json!({})),
        (Kind::Endpoints, "a__rotation", "10.0.0.1:1", json!({})),
    ]
}

/// The same among others, with a listener.
fn one_of_many() -> Vec<One> {
    let mut all = alone();
    all[0].1 = "mixed-version-proxy/a";
    let chains = [chain("a", &["a.example.com", "a"]), chain("awaited", &["b"])];
    all.extend([
        (Kind::Listeners, "kubernetes", "1", json!({ "filterChains": chains })),
        (Kind::Secrets, "a/client-ca", "1", json!({})),
        (Kind::Secrets, "awaited/client-ca", "1", json!({})),
        (Kind::Filter, "mixed-version-proxy/a/connections", "1", connections()),
        (Kind::Filter, "mixed-version-proxy/awaited/connections", "1", connections()),
        (Kind::Filter, "another", "1", json!({})),
    ]);
    all
}

#[test]
fn a_set_is_complete_if_everything_is_there_that_is_named() {
    for all in [alone(), one_of_many()] {
        assert_eq!(check(&all), Ok(()));
        for missing in 0..all.len() {
            let mut some = all.clone();
            let (missing, name, ..) = some.remove(missing);
            match check(&some) {
                // Nothing names a listener.
                Ok(()) => assert_eq!(missing, Kind::Listeners),
                Err(Incomplete::NoMap | Incomplete::MissingMap { .. }) => {
                    assert_eq!(missing, Kind::Filter);
                }
                Err(Incomplete::Missing { kind, name: found, .. }) => {
                    assert_eq!((kind, &*found), (missing, name));
                }
                Err(error @ Incomplete::Unusable { .. }) => panic!("{error}"),
            }
        }
    }
    assert_eq!(check(&[]), Err(Incomplete::NoMap));
}

#[test]
fn each_control_plane_with_clusters_has_a_map() {
    let mut all = one_of_many();
    all.extend([
        (Kind::Clusters, "c", "1", json!({})),
        (Kind::Endpoints, "c", "10.0.0.1:1", json!({})),
    ]);
    assert_eq!(check(&all), Err(Incomplete::MissingMap { cluster: "c".to_owned() }));
}

#[test]
fn changed_and_removed_resources_are_checked_again() {
    let mut checker = Checker::default();
    for one in &alone() {
        checker.take(one.0, [&resource(one)], &[]);
    }
    checker.take(Kind::Endpoints, [], &["a_b".to_owned()]);
    let missing = |kind, name: &str, from: &str| {
        Err(Incomplete::Missing { from: from.to_owned(), kind, name: name.to_owned() })
    };
    assert_eq!(checker.check(), missing(Kind::Endpoints, "a_b", "a_b"));
    checker.take(Kind::Clusters, [], &["a_b".to_owned()]);
    let filter = "mixed-version-proxy";
    assert_eq!(checker.check(), missing(Kind::Clusters, "a_b", filter));
    let map = FilterConfig {
        map: json!({ "defaultCluster": "a" }).to_string(),
        module: Module::of_only("/f"),
    };
    checker.take(Kind::Filter, [&resource(&(Kind::Filter, filter, "2", map.to_json()))], &[]);
    assert_eq!(checker.check(), Ok(()));
}

#[test]
fn a_resource_that_cannot_be_used_is_named() {
    let listener = |chains: &[Value]| json!({ "filterChains": chains });
    for (at, version, content, expected) in [
        (5, "17", json!({}), "cannot use \"a\" (endpoints): its version is not known"),
        (8, "1", listener(&[]), "(listeners): it has no filter chain"),
        (
            8,
            "1",
            listener(&[chain("a", &["a"]), chain("a", &["b"])]),
            "two filter chains with the name \"a\"",
        ),
        (
            8,
            "1",
            listener(&[chain("a", &["a", "b"]), chain("b", &["b", "c"])]),
            "filter chain \"b\" and another one match {\"serverNames\":\"b\"}",
        ),
        (
            8,
            "1",
            listener(&[json!({ "name": "a" }), json!({ "name": "b" })]),
            "filter chain \"b\" and another one match {}",
        ),
    ] {
        let mut all = one_of_many();
        (all[at].2, all[at].3) = (version, content);
        let error = check(&all).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut checker = Checker::default();
    let mut bad = resource(&alone()[4]);
    bad.resource.as_mut().unwrap().value = vec![0xff];
    checker.take(Kind::Secrets, [&bad], &[]);
    let error = checker.check().unwrap_err().to_string();
    assert!(error.starts_with("cannot use \"ca\" (secrets): protobuf: "), "{error}");
}
