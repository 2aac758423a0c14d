//! The secrets and clusters that settings give.
//!
//! The twin of a cluster has the same peers, over connections that present the front-proxy
//! certificate.

use std::collections::BTreeSet;

use discovery_map::{FRONT_PROXY_SUFFIX, MapDocument, ROTATION_SUFFIX, SETS_SUFFIX};

use super::step::Name;
use crate::config::ClusterPrefix;
use crate::endpoints::Addresses;
use crate::index::{Snapshot, local_cluster};
use crate::secrets::Settings;
use crate::xds::SecretContent::{Authorities, KeyPair};
use crate::xds::{self, Cluster, Secret, SecretContent};

/// Returns the listener's secrets.
///
/// An Envoy keeps what it was told last. So it must be told if client certificates are not accepted
/// any more, unless nothing in `found` says that they ever were. A listener's certificate that is
/// not configured any more stays, because the listener must have one.
pub fn listener_secrets(settings: &Settings, found: &BTreeSet<Name>) -> Vec<Secret> {
    let (secrets, of) = (&settings.secrets, settings.config.name());
    let name = xds::of_control_plane(of, xds::CLIENT_CA);
    let told = found.contains(&Name::Secret(name.clone()));
    // The chain of one of many names it in any case.
    let authorities = (secrets.listener.is_some() || told || of.is_some())
        .then(|| secret(name, Authorities(secrets.client_ca.clone())));
    let pair = secrets.listener.clone().map(|pair| secret(xds::LISTENER, KeyPair(pair)));
    authorities.into_iter().chain(pair).collect()
}

pub fn upstream_secrets(settings: &Settings) -> Vec<Secret> {
    let secrets = &settings.secrets;
    let authorities = Authorities(Some(secrets.peer_ca.clone()));
    let peer_ca = secret(settings.peer_ca_name(), authorities);
    let front_proxy = secrets.front_proxy.clone();
    let named = |pair| secret(settings.front_proxy_name(&pair), KeyPair(pair));
    let front_proxy = front_proxy.map(named);
    [peer_ca].into_iter().chain(front_proxy).collect()
}

fn secret(name: impl Into<String>, content: SecretContent) -> Secret {
    Secret { name: name.into(), content }
}

/// Returns the clusters of these names. Without a front-proxy certificate, a twin keeps that of an
/// earlier run; it is left out if that is not known.
pub fn clusters(
    names: &BTreeSet<&String>,
    settings: &Settings,
    earlier: Option<&String>,
) -> Vec<Cluster> {
    let front_proxy = settings.front_proxy().or_else(|| earlier.cloned());
    let cluster = |name: &&String| {
        let present =
            if name.ends_with(FRONT_PROXY_SUFFIX) { Some(front_proxy.clone()?) } else { None };
        let prefix = settings.config.envoy.cluster_prefix.as_str();
        Some(Cluster {
            name: (*name).clone(),
            server_name: settings.config.peer_tls.server_name.clone(),
            peer_ca: settings.peer_ca_name(),
            present,
            after_denial: after_denial(name, prefix)
                .filter(|_| !settings.config.envoy.fixed_clusters),
            ejects: base_of(name).0 != local_cluster(prefix),
            by_set: is_by_set(name),
            module: xds::Module::from(&*settings.config),
        })
    };
    names.iter().filter_map(cluster).collect()
}

/// Returns the names of the clusters that are fixed, whatever the map names: all peers in rotation,
/// in levels and on one level, and the peers of all sets. Each may have a twin.
pub fn fixed_clusters(prefix: &ClusterPrefix) -> BTreeSet<String> {
    let names = ["", ROTATION_SUFFIX, SETS_SUFFIX].map(|suffix| format!("{prefix}{suffix}"));
    names.into_iter().flat_map(|name| [format!("{name}{FRONT_PROXY_SUFFIX}"), name]).collect()
}

/// Returns whether this is the name of the fixed cluster with the peers of all sets.
pub fn is_by_set(name: &str) -> bool {
    base_of(name).0.ends_with(SETS_SUFFIX)
}

/// Returns where a request goes on after a server of the cluster `name` denied it: in the rotation
/// cluster, from the cluster of a set. No header names the default cluster, and the rotation cluster
/// stays.
fn after_denial(name: &str, prefix: &str) -> Option<String> {
    let (base, twin) = base_of(name);
    let rotation = format!("{prefix}{ROTATION_SUFFIX}");
    let of_set = base != prefix && base != rotation && base != local_cluster(prefix);
    of_set.then(|| rotation + twin)
}

/// Returns a cluster's name without the suffix of twins, and that suffix if it has it.
fn base_of(name: &str) -> (&str, &str) {
    match name.strip_suffix(FRONT_PROXY_SUFFIX) {
        Some(base) => (base, FRONT_PROXY_SUFFIX),
        None => (name, ""),
    }
}

/// Returns the map of a snapshot, and the clusters that it names. They have twins if there is a
/// front proxy and its certificate; else the map says that there is none.
pub fn with_twins(snapshot: &Snapshot, certificate: bool) -> (MapDocument, Addresses) {
    let mut document = snapshot.map.clone();
    document.identity.front_proxy &= certificate;
    let mut clusters = Addresses::new();
    for cluster in &snapshot.clusters {
        if document.identity.front_proxy {
            let twin = format!("{}{FRONT_PROXY_SUFFIX}", cluster.name);
            clusters.insert(twin, cluster.endpoints.clone());
        }
        clusters.insert(cluster.name.clone(), cluster.endpoints.clone());
    }
    (document, clusters)
}

#[cfg(test)]
mod tests {
    use super::after_denial;

    #[test]
    fn only_the_cluster_of_a_set_goes_on_in_the_rotation_cluster_with_or_without_certificate() {
        let after = |name: &str| after_denial(name, "kube-apiserver");
        for name in ["kube-apiserver", "kube-apiserver__rotation", "kube-apiserver__local"] {
            assert_eq!((after(name), after(&format!("{name}__front-proxy"))), (None, None));
        }
        assert_eq!(after("kube-apiserver_cp-1").as_deref(), Some("kube-apiserver__rotation"));
        assert_eq!(
            after("kube-apiserver_cp-1__front-proxy").as_deref(),
            Some("kube-apiserver__rotation__front-proxy")
        );
    }
}
