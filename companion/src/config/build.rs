//! From the document's sections to a [`Config`]: every rule in one place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{FaultLog, Faults, Section, parsed};
use super::strict::strict_not_found;
use super::tls::{key_pair, listener_tls, request_headers};
use super::{
    ClusterPrefix, Config, Credentials, EnvoyOutput, Peer, PeerName, PeerTls, Polling, ServerName,
};

/// The index keeps a set of peers in 64 bits.
const MAX_PEERS: usize = 64;

pub(super) fn config(text: &str) -> Result<Config, Faults> {
    let log = FaultLog::default();
    let config = Section::document(text, &log).and_then(|top| document(top, &log));
    log.into_result()?;
    // With no fault in the log every field was read.
    config.ok_or_else(|| Faults::single("document", "could not be read"))
}

fn document(mut top: Section<'_>, log: &FaultLog) -> Option<Config> {
    let listen = top.or_default("listen", SocketAddr::from(([127, 0, 0, 1], 9902)), loopback);
    let state_directory = top.required("stateDirectory", absolute);
    let peers = peers(top.sections("peers"), log);
    let peer_tls = top.section("peerTls").and_then(peer_tls);
    let credentials = top.section("credentials").and_then(|section| credentials(section, log));
    let envoy = top.section("envoy").and_then(envoy);
    let polling = top.section_or_empty("polling").and_then(polling);
    let forget_after = top.or_default("forgetAfter", Duration::from_secs(3600), |text| {
        duration(text, Duration::from_secs(1), Duration::from_secs(30 * 24 * 3600))
    });
    let carried = top.has("frontProxy");
    let listener_tls = match top.has("listenerTls") {
        true => top.section("listenerTls").and_then(|section| listener_tls(section, carried, log)),
        false => None,
    };
    let front_proxy = match carried {
        true => top.section("frontProxy").and_then(key_pair),
        false => None,
    };
    let request_headers =
        top.section_or_empty("requestHeaders").and_then(|section| request_headers(section, log));
    let strict_not_found =
        top.section_or_empty("strictNotFound").and_then(|section| strict_not_found(section, log));
    top.finish(&[
        "listen",
        "stateDirectory",
        "peers",
        "peerTls",
        "credentials",
        "envoy",
        "polling",
        "forgetAfter",
        "listenerTls",
        "frontProxy",
        "requestHeaders",
        "strictNotFound",
    ]);
    Some(Config {
        listen: listen?,
        state_directory: state_directory?,
        peers,
        peer_tls: peer_tls?,
        credentials: credentials?,
        envoy: envoy?,
        polling: polling?,
        forget_after: forget_after?,
        // Absent or faulty: a fault is in the log.
        listener_tls,
        front_proxy,
        request_headers: request_headers?,
        strict_not_found: strict_not_found?,
    })
}

fn peers(sections: Vec<Section<'_>>, log: &FaultLog) -> Vec<Peer> {
    if sections.len() > MAX_PEERS {
        log.add("peers", format!("{} entries; at most {MAX_PEERS} are allowed", sections.len()));
    }
    let mut names = HashMap::new();
    let mut addresses = HashMap::new();
    let mut peers = Vec::new();
    for mut section in sections {
        let places = (section.place("name"), section.place("address"));
        let name = section.required("name", parsed::<PeerName>);
        let address = section.required("address", peer_address);
        section.finish(&["name", "address"]);
        if let Some(name) = &name
            && let Some(first) = names.insert(name.clone(), places.0.clone())
        {
            log.add(places.0, format!("\"{name}\" is also {first}"));
        }
        if let Some(address) = address
            && let Some(first) = addresses.insert(address, places.1.clone())
        {
            log.add(places.1, format!("\"{address}\" is also {first}"));
        }
        if let (Some(name), Some(address)) = (name, address) {
            peers.push(Peer { name, address });
        }
    }
    peers
}

fn peer_tls(mut section: Section<'_>) -> Option<PeerTls> {
    let ca_file = section.required("caFile", absolute);
    let server_name = match section.has("serverName") {
        true => section.required("serverName", parsed::<ServerName>),
        false => "kubernetes".parse().ok(),
    };
    section.finish(&["caFile", "serverName"]);
    Some(PeerTls { ca_file: ca_file?, server_name: server_name? })
}

fn credentials(mut section: Section<'_>, log: &FaultLog) -> Option<Credentials> {
    let place = section.place("tokenFile");
    let both = section.has("tokenFile") && section.has("clientCertificate");
    let neither = !section.has("tokenFile") && !section.has("clientCertificate");
    if both || neither {
        let place = place.trim_end_matches(".tokenFile");
        log.add(place, "must have exactly one of tokenFile and clientCertificate");
    }
    let token = section
        .has("tokenFile")
        .then(|| section.required("tokenFile", absolute))
        .flatten()
        .map(|file| Credentials::Token { file });
    let certificate = section
        .has("clientCertificate")
        .then(|| section.section("clientCertificate"))
        .flatten()
        .and_then(key_pair)
        .map(Credentials::ClientCertificate);
    section.finish(&["tokenFile", "clientCertificate"]);
    token.or(certificate)
}

fn envoy(mut section: Section<'_>) -> Option<EnvoyOutput> {
    let directory = section.required("directory", absolute);
    let filter_module = section.required("filterModule", absolute);
    let cluster_prefix = match section.has("clusterPrefix") {
        true => section.required("clusterPrefix", parsed::<ClusterPrefix>),
        false => "kube-apiserver".parse().ok(),
    };
    let cluster_removal_delay =
        section.or_default("clusterRemovalDelay", Duration::from_secs(30), |text| {
            duration(text, Duration::from_secs(1), Duration::from_secs(3600))
        });
    section.finish(&["directory", "filterModule", "clusterPrefix", "clusterRemovalDelay"]);
    Some(EnvoyOutput {
        directory: directory?,
        filter_module: filter_module?,
        cluster_prefix: cluster_prefix?,
        cluster_removal_delay: cluster_removal_delay?,
    })
}

fn polling(mut section: Section<'_>) -> Option<Polling> {
    let short = |text: &str| duration(text, Duration::from_millis(100), Duration::from_secs(60));
    let interval = section.or_default("interval", Duration::from_secs(1), short);
    let timeout = section.or_default("timeout", Duration::from_secs(3), short);
    let max_response_bytes = section.number("maxResponseBytes", 32 << 20, 64 << 10..=1 << 30);
    section.finish(&["interval", "timeout", "maxResponseBytes"]);
    Some(Polling {
        interval: interval?,
        timeout: timeout?,
        max_response_bytes: max_response_bytes?,
    })
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "must be an IP address and port")?;
    // The endpoint tells everything about the cluster's types and asks nobody
    // who they are.
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("must be a loopback address".to_owned()),
    }
}

fn peer_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "must be an IP address and port, like 10.0.0.1:6443")?;
    match address.port() == 0 || address.ip().is_unspecified() {
        true => Err("must be an address that can be connected to".to_owned()),
        false => Ok(address),
    }
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    match path.is_absolute() {
        true => Ok(path.to_owned()),
        false => Err("must be an absolute path".to_owned()),
    }
}

pub(super) fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let value = humantime::parse_duration(text)
        .map_err(|_| "must be a duration, like 500ms, 3s or 1h".to_owned())?;
    if value < least || value > most {
        let (least, most) = (humantime::format_duration(least), humantime::format_duration(most));
        return Err(format!("must be from {least} to {most}"));
    }
    Ok(value)
}
