//! The secrets and clusters that settings give.

use std::collections::BTreeSet;

use super::name::Name;
use super::twins::is_twin;
use crate::secrets::{Secrets, Settings};
use crate::xds::{self, Cluster, Secret};

/// Returns the listener's secrets.
///
/// An Envoy keeps what it was told last. So it must be told if client certificates are not accepted
/// any more, unless nothing in `found` says that they ever were. A listener's certificate that is not
/// configured any more stays, because the listener must have one.
pub fn listener_secrets(secrets: &Secrets, found: &BTreeSet<Name>) -> Vec<Secret> {
    let client_ca = Name::Secret(xds::CLIENT_CA.to_owned());
    let mut step = Vec::new();
    if secrets.listener.is_some() || found.contains(&client_ca) {
        step.push(Secret::authorities(xds::CLIENT_CA, secrets.client_ca.as_ref()));
    }
    step.extend(secrets.listener.as_ref().map(|pair| Secret::key_pair(xds::LISTENER, pair)));
    step
}

/// Returns the secrets that clusters name.
pub fn upstream_secrets(secrets: &Secrets) -> Vec<Secret> {
    let peer_ca = xds::peer_ca_name(&secrets.peer_ca);
    let mut upstream = vec![Secret::authorities(peer_ca, Some(&secrets.peer_ca))];
    let pair = |pair| Secret::key_pair(xds::front_proxy_name(pair), pair);
    upstream.extend(secrets.front_proxy.as_ref().map(pair));
    upstream
}

/// Returns the clusters of these names. Without a front-proxy certificate, a twin keeps that of an
/// earlier run; it is left out if that is not known.
pub fn clusters(
    names: &BTreeSet<&String>,
    settings: &Settings,
    earlier: Option<&String>,
) -> Vec<Cluster> {
    let secrets = &settings.secrets;
    let front_proxy = secrets.front_proxy.as_ref().map(xds::front_proxy_name);
    let front_proxy = front_proxy.or_else(|| earlier.cloned());
    let cluster = |name: &&String| {
        let present = if is_twin(name) { Some(front_proxy.clone()?) } else { None };
        Some(Cluster {
            name: (*name).clone(),
            server_name: settings.config.peer_tls.server_name.clone(),
            peer_ca: xds::peer_ca_name(&secrets.peer_ca),
            present,
        })
    };
    names.iter().filter_map(cluster).collect()
}
