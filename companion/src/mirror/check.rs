//! Decides whether a set is complete: it contains everything that its resources name.

use discovery_map::ROTATION_SUFFIX;
use envoy_types::pb::envoy::service::discovery::v3::Resource;
use serde_json::Value;

use super::set::Set;
use crate::ads::{Kind, is_endpoints_version};
use crate::xds;

/// What keeps a set from being complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    #[error("the companion has sent no map yet")]
    NoMap,
    #[error("cannot read {name:?} ({kind}): {problem}", kind = kind.as_str())]
    Unreadable { kind: Kind, name: String, problem: String },
    #[error("{from:?} names {name:?} ({kind}), which is missing", kind = kind.as_str())]
    Missing { from: String, kind: Kind, name: String },
}

/// Returns what is missing, if anything is.
pub fn check(set: &Set) -> Result<(), Incomplete> {
    for (name, cluster) in set.of(Kind::Clusters) {
        require(set, name, Kind::Endpoints, name)?;
        for secret in secrets(&decoded(Kind::Clusters, cluster)?) {
            require(set, name, Kind::Secrets, &secret)?;
        }
    }
    for (name, endpoints) in set.of(Kind::Endpoints) {
        if !is_endpoints_version(&endpoints.version) {
            return Err(unreadable(Kind::Endpoints, name, "its version is not known"));
        }
    }
    let mut has_map = false;
    for (name, filter) in set.of(Kind::Filter) {
        for map in maps(&decoded(Kind::Filter, filter)?) {
            has_map = true;
            for cluster in clusters(&map) {
                require(set, name, Kind::Clusters, &cluster)?;
            }
        }
    }
    if has_map { Ok(()) } else { Err(Incomplete::NoMap) }
}

fn require(set: &Set, from: &str, kind: Kind, name: &str) -> Result<(), Incomplete> {
    let missing = || Incomplete::Missing { from: from.to_owned(), kind, name: name.to_owned() };
    set.get(kind, name).map(|_| ()).ok_or_else(missing)
}

fn decoded(kind: Kind, resource: &Resource) -> Result<Value, Incomplete> {
    let unreadable = |problem: &str| unreadable(kind, &resource.name, problem);
    let any = resource.resource.as_ref().ok_or_else(|| unreadable("it is empty"))?;
    xds::decode(&any.type_url, &any.value).map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(kind: Kind, name: &str, problem: &str) -> Incomplete {
    let (name, problem) = (name.to_owned(), problem.to_owned());
    Incomplete::Unreadable { kind, name, problem }
}

/// Returns the secrets that are to come over the same stream.
fn secrets(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(value, &mut |fields| {
        let is_ads = fields.get("sdsConfig").is_some_and(|source| source.get("ads").is_some());
        let name = fields.get("name").and_then(Value::as_str);
        found.extend(name.filter(|_| is_ads).map(str::to_owned));
    });
    found
}

/// Returns the maps in a filter. Not every field has to be known: the companion can be newer.
fn maps(value: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    visit(value, &mut |fields| {
        let text = fields.get("configuration").and_then(|text| text.get("value"));
        let map: Option<Value> =
            text.and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
        found.extend(map.filter(|map| map.get("defaultCluster").is_some()));
    });
    found
}

/// Returns the clusters that a map names.
fn clusters(map: &Value) -> Vec<String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let sets = map.get("sets").and_then(Value::as_array).into_iter().flatten();
    let mut clusters: Vec<_> = sets.filter_map(|set| text(set.get("cluster"))).collect();
    if let Some(default) = text(map.get("defaultCluster")) {
        clusters.push(format!("{default}{ROTATION_SUFFIX}"));
        clusters.push(default);
    }
    clusters
}

fn visit(value: &Value, see: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            see(fields);
            fields.values().for_each(|value| visit(value, see));
        }
        Value::Array(values) => values.iter().for_each(|value| visit(value, see)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::Any;
    use serde_json::json;

    use super::*;
    use crate::xds::{FilterConfig, Module};

    fn set(resources: &[(Kind, &str, &str, Value)]) -> Set {
        let mut set = Set::default();
        for (kind, name, version, json) in resources {
            let mut json = json.clone();
            json["@type"] = kind.url().into();
            let any = Any { type_url: kind.url().into(), value: xds::encode(json).unwrap() };
            let (name, version) = ((*name).to_owned(), (*version).to_owned());
            let resource = Resource { name, version, resource: Some(any), ..Default::default() };
            set.apply(*kind, [resource], &[]);
        }
        set
    }

    #[test]
    fn a_set_is_complete_if_everything_is_there_that_is_named() {
        let map = json!({ "defaultCluster": "a", "sets": [{ "cluster": "a_b" }, {}], "new": 1 });
        let filter = FilterConfig { map: map.to_string(), module: Module::of_only("/f") };
        let secret = json!({ "name": "ca", "sdsConfig": { "ads": {} } });
        let tls = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "commonTlsContext": { "validationContextSdsSecretConfig": secret },
        });
        let tls = json!({ "transportSocket": { "name": "tls", "typedConfig": tls } });
        let mut all = vec![
            (Kind::Filter, "f", "1", filter.to_json()),
            (Kind::Clusters, "a", "1", tls),
            (Kind::Clusters, "a_b", "1", json!({})),
            (Kind::Clusters, "a__rotation", "1", json!({})),
            (Kind::Secrets, "ca", "1", json!({})),
            (Kind::Endpoints, "a", "10.0.0.1:1", json!({})),
            (Kind::Endpoints, "a_b", "", json!({})),
            (Kind::Endpoints, "a__rotation", "10.0.0.1:1", json!({})),
        ];
        assert_eq!(check(&set(&all)), Ok(()));
        for missing in 0..all.len() {
            let mut some = all.clone();
            let (kind, name, ..) = some.remove(missing);
            let error = check(&set(&some)).unwrap_err();
            match error {
                Incomplete::NoMap => assert_eq!(kind, Kind::Filter),
                Incomplete::Missing { kind: found, name: missing, .. } => {
                    assert_eq!((found, &*missing), (kind, name));
                }
                Incomplete::Unreadable { .. } => panic!("{error}"),
            }
        }
        all[5].2 = "17";
        assert!(matches!(check(&set(&all)), Err(Incomplete::Unreadable { .. })));
        assert_eq!(check(&Set::default()), Err(Incomplete::NoMap));
    }
}
