//! From the file of one of many control planes to its [`Config`].

use std::collections::HashMap;

use super::build::common;
use super::main::ControlPlaneDirectory;
use super::model::{Config, EnvoyOutput};
use super::reader::{Faulty, Section};
use super::value::{ClusterPrefix, ServerName, absolute};

const IN_MAIN: &str = "belongs in the companion's main file";

/// Fields of the main file, and where they are for one of many control planes.
const OF_MAIN: [(&str, &str); 8] = [
    ("listen", IN_MAIN),
    ("stateDirectory", IN_MAIN),
    ("envoy", IN_MAIN),
    ("ads", IN_MAIN),
    ("controlPlanes", IN_MAIN),
    ("listener", IN_MAIN),
    ("listenerTls", "must not be set with controlPlanes: Envoys read their own; use clientCaFile"),
    (
        "frontProxy",
        "must not be set with controlPlanes: Envoys read their own; use frontProxySecret",
    ),
];

/// Reads the control plane `name`, whose state is in a directory of that name.
pub(super) fn one_of_many(
    mut top: Section<'_>,
    name: &ClusterPrefix,
    directory: &ControlPlaneDirectory,
) -> Result<Config, Faulty> {
    let server_names = top.required_strings("serverNames", str::parse::<ServerName>);
    if let Ok(names) = &server_names {
        let mut seen = HashMap::new();
        for (at, name) in names.iter().enumerate() {
            top.once(&format!("serverNames[{at}]"), Some(name), &mut seen);
        }
    }
    let common = common(&mut top);
    let client_ca_file = top.optional("clientCaFile", absolute);
    let front_proxy_secret = top.optional("frontProxySecret", absolute);
    if let (Ok(Some(_)), Ok(None)) = (&client_ca_file, &front_proxy_secret) {
        let why = "without which API servers cannot learn who the client is";
        top.fault("clientCaFile", format!("requires frontProxySecret, {why}"));
    }
    for (field, problem) in OF_MAIN {
        top.refuse(field, problem);
    }
    top.finish();
    let common = common?;
    Ok(Config {
        server_names: Some(server_names?),
        state_directory: directory.states.join(name.as_str()),
        peers: common.peers,
        local_peer: common.local_peer,
        peer_tls: common.peer_tls,
        credentials: common.credentials,
        envoy: EnvoyOutput {
            directory: None,
            filter_module: directory.filter_module.clone(),
            cluster_prefix: name.clone(),
            cluster_removal_delay: directory.cluster_removal_delay,
            fixed_clusters: false,
        },
        polling: common.polling,
        forget_after: common.forget_after,
        trust_first_peers: common.trust_first_peers,
        mode: common.mode,
        decision_header_groups: common.decision_header_groups,
        answering_version: common.answering_version,
        skew_policy: common.skew_policy,
        listener_tls: None,
        client_ca_file: client_ca_file?,
        front_proxy: None,
        front_proxy_secret: front_proxy_secret?,
        request_headers: common.request_headers,
        events: common.events,
    })
}
