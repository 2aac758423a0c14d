//! Servers of different versions.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use discovery_map::DiscoveryMap;
use fake_apiserver::Version;
use fake_apiserver::recordings::{AGGREGATED, Recording};
use serde_json::Value;

use crate::control_plane::ServerOptions;

/// The older one of the two newest versions, on which most tests run.
pub const OLDER: Version = Version::NEWEST_PAIR[0];

/// The newest version.
pub const NEWER: Version = Version::NEWEST_PAIR[1];

/// The index of the older server, which has a type of its own.
pub const OLD: usize = 0;

/// The index of the newer server, which has types of its own too.
pub const NEW: usize = 1;

/// The newest pair with more skew than by default: the older server lacks `pods/resize` and
/// all that came after 1.34, and has a type of its own.
pub fn servers() -> Vec<ServerOptions> {
    vec![
        ServerOptions::new("old", OLDER)
            // Later versions cannot turn the subresource off.
            .argument("--emulated-version=1.34")
            .argument("--feature-gates=InPlacePodVerticalScaling=false,ClusterTrustBundle=true")
            .argument("--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true"),
        // It serves them as v1, and would otherwise have each type of the older one.
        ServerOptions::new("new", NEWER)
            .argument("--runtime-config=certificates.k8s.io/v1/clustertrustbundles=false"),
    ]
}

/// Turns off types that newer versions serve, by their collections without a namespace
/// (`/apis/<group>/<version>/<resource>`), if the server's version serves them by default. Fails if
/// the version is not recorded.
pub fn without(server: ServerOptions, collections: &[&str]) -> Result<ServerOptions> {
    let served = collections_of(server.version, |_| true)?;
    // A server refuses to turn off what is of a group-version that it does not know.
    let served = collections.iter().filter(|collection| served.contains(**collection));
    let off: Vec<_> =
        served.map(|name| format!("{}=false", name.trim_start_matches("/apis/"))).collect();
    if off.is_empty() {
        return Ok(server);
    }
    Ok(server.argument(format!("--runtime-config={}", off.join(","))))
}

/// Returns each pair of versions, older first, each three that follow each other, and all versions
/// together: the combinations in which an upgrade can be.
pub fn matrix() -> Vec<Vec<Version>> {
    let mut combinations = Vec::new();
    for (index, newer) in Version::ALL.iter().enumerate() {
        combinations.extend(Version::ALL.iter().take(index).map(|older| vec![*older, *newer]));
    }
    combinations.extend(Version::ALL.windows(3).map(<[Version]>::to_vec));
    if Version::ALL.len() > 3 {
        combinations.push(Version::ALL.to_vec());
    }
    combinations
}

/// Returns a server of each version, with types that not all of them serve: versions that serve the
/// same types by default have their alpha and beta types turned on. Fails if a version is not
/// recorded.
pub fn differing(
    versions: &[Version],
    name: impl Fn(Version) -> String,
) -> Result<Vec<ServerOptions>> {
    let mut types = BTreeSet::new();
    for version in versions {
        types.insert(collections_of(*version, |_| true)?);
    }
    let server = |version: &Version| {
        let server = ServerOptions::new(name(*version), *version);
        if types.len() > 1 { server } else { server.argument("--runtime-config=api/all=true") }
    };
    Ok(versions.iter().map(server).collect())
}

/// Returns how versions are written together: `1.36+1.37`.
pub fn name(versions: &[Version]) -> String {
    versions.iter().map(Version::to_string).collect::<Vec<_>>().join("+")
}

/// Returns the collection of a type without namespaces that `newer` serves by
/// default and `older` does not, by their recordings. Fails if they do not
/// differ, or are not recorded.
pub fn only_in(newer: Version, older: Version) -> Result<String> {
    let of = |version| collections_of(version, |scope| scope == "Cluster");
    let (new, old) = (of(newer)?, of(older)?);
    let found = new.difference(&old).next().cloned();
    found.with_context(|| format!("{newer} serves nothing that {older} does not"))
}

/// Returns whether a map has the type of a collection (`/apis/<group>/<version>/<resource>`).
pub fn has_type(map: &DiscoveryMap, collection: &str) -> bool {
    let parts: Vec<_> = collection.split('/').skip(2).map(str::as_bytes).collect();
    let [group, version, resource] = parts[..] else { return false };
    map.resource(group, version, resource, None).is_some()
}

/// Returns the paths of all collections of these scopes that can be listed, without a namespace.
fn collections_of(version: Version, wanted: fn(&str) -> bool) -> Result<BTreeSet<String>> {
    let recording = Recording::of(version)?;
    let document = recording.get("/apis", Some(AGGREGATED)).context("no aggregated /apis")?;
    let document: Value = serde_json::from_slice(&document.body)?;
    let mut paths = BTreeSet::new();
    for group in array(&document, "/items") {
        for version in array(group, "/versions") {
            for resource in array(version, "/resources") {
                let text = |of: &Value, pointer| of.pointer(pointer)?.as_str().map(str::to_owned);
                let in_scope = text(resource, "/scope").is_some_and(|scope| wanted(&scope));
                let listed = array(resource, "/verbs").iter().any(|verb| verb == "list");
                if let (true, Some(group), Some(version), Some(resource)) = (
                    in_scope && listed,
                    text(group, "/metadata/name"),
                    text(version, "/version"),
                    text(resource, "/resource"),
                ) {
                    paths.insert(format!("/apis/{group}/{version}/{resource}"));
                }
            }
        }
    }
    Ok(paths)
}

fn array<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use fake_apiserver::Version;

    use super::{differing, matrix, name, only_in, without};
    use crate::control_plane::ServerOptions;

    #[test]
    fn the_matrix_has_every_pair_every_three_neighbors_and_all_together() {
        let names: Vec<_> = matrix().iter().map(|versions| name(versions)).collect();
        assert!(names.contains(&name(&Version::NEWEST_PAIR)));
        assert!(names.contains(&name(Version::ALL)));
        let pairs = Version::ALL.len() * (Version::ALL.len() - 1) / 2;
        assert_eq!(names.len(), pairs + (Version::ALL.len() - 2) + 1);
    }

    #[test]
    fn types_are_turned_off_where_a_version_serves_them() {
        let collections = [
            "/apis/resource.k8s.io/v1/devicetaintrules",
            "/apis/storagemigration.k8s.io/v1/storageversionmigrations",
        ];
        let arguments =
            |version| without(ServerOptions::new("any", version), &collections).unwrap().arguments;
        assert!(arguments(Version::V1_36).is_empty());
        assert_eq!(
            arguments(Version::V1_37),
            ["--runtime-config=resource.k8s.io/v1/devicetaintrules=false,\
              storagemigration.k8s.io/v1/storageversionmigrations=false"]
        );
    }

    #[test]
    fn versions_that_serve_the_same_types_get_more() {
        let count = |versions: &[Version]| {
            let servers = differing(versions, |version| version.to_string()).unwrap();
            servers.iter().filter(|server| !server.arguments.is_empty()).count()
        };
        assert_eq!(count(&[Version::V1_34, Version::V1_35]), 2);
        assert_eq!(count(&[Version::V1_35, Version::V1_36]), 0);
    }

    #[test]
    fn a_newer_version_serves_more() {
        let policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
        assert_eq!(only_in(Version::V1_36, Version::V1_35).unwrap(), policies);
        let [older, newer] = Version::NEWEST_PAIR;
        assert!(only_in(newer, older).is_ok());
        assert!(only_in(older, older).is_err());
    }
}
