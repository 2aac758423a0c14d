//! From the document's sections to a [`Config`]: fields, defaults and bounds.
//!
//! A function reads all fields of its section before the first `?`, so that
//! one fault hides no other.

use std::net::SocketAddr;
use std::time::Duration;

use super::ads::ads;
use super::answering::AnsweringPolicy;
use super::model::{Config, CredentialFiles, EnvoyOutput, PeerTls, Polling};
use super::peers::peers;
use super::reader::{Faulty, Section};
use super::request_headers::request_headers;
use super::tls::{key_pair, listener_tls};
use super::value::{ClusterPrefix, ServerName, absolute, duration};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn config(mut top: Section<'_>) -> Result<Config, Faulty> {
    let listen = top.or_default("listen", "127.0.0.1:9902", loopback);
    let state_directory = top.required("stateDirectory", absolute);
    let peers = top.section("peers").and_then(peers);
    let peer_tls = top.section("peerTls").and_then(peer_tls);
    let credentials = top.section("credentials").and_then(credentials);
    let envoy = top.section("envoy").and_then(envoy);
    let ads = top.optional_section("ads", ads);
    let polling = top.section_or_empty("polling").and_then(polling);
    let forget_after = top.or_default("forgetAfter", "1h", duration(SECOND, 30 * 24 * HOUR));
    let answering_version =
        top.or_default("answeringVersion", "majority", str::parse::<AnsweringPolicy>);
    let front_proxy = top.optional_section("frontProxy", key_pair);
    let has_front_proxy = !matches!(front_proxy, Ok(None));
    let listener_tls =
        top.optional_section("listenerTls", |section| listener_tls(section, has_front_proxy));
    let request_headers = top.section_or_empty("requestHeaders").and_then(request_headers);
    top.removed(
        "strictNotFound",
        "was removed and has no successor: after a type-level 404, Envoy asks the other servers by \
         itself; remove it, and the cluster mixed-version-companion from Envoy's configuration",
    );
    top.finish();
    Ok(Config {
        listen: listen?,
        state_directory: state_directory?,
        peers: peers?,
        peer_tls: peer_tls?,
        credentials: credentials?,
        envoy: envoy?,
        ads: ads?,
        polling: polling?,
        forget_after: forget_after?,
        answering_version: answering_version?,
        listener_tls: listener_tls?,
        front_proxy: front_proxy?,
        request_headers: request_headers?,
    })
}

fn peer_tls(mut section: Section<'_>) -> Result<PeerTls, Faulty> {
    let ca_file = section.required("caFile", absolute);
    let server_name = section.or_default("serverName", "kubernetes", str::parse::<ServerName>);
    section.finish();
    Ok(PeerTls { ca_file: ca_file?, server_name: server_name? })
}

fn credentials(mut section: Section<'_>) -> Result<CredentialFiles, Faulty> {
    let token = section.optional("tokenFile", absolute);
    let certificate = section.optional_section("clientCertificate", key_pair);
    let credentials = match (token, certificate) {
        (Ok(Some(file)), Ok(None)) => Ok(CredentialFiles::Token { file }),
        (Ok(None), Ok(Some(files))) => Ok(CredentialFiles::ClientCertificate(files)),
        (Ok(None), Err(faulty)) | (Err(faulty), Ok(None)) => Err(faulty),
        // Neither, or both, whether or not these are valid.
        _ => Err(section.own_fault("must have exactly one of tokenFile and clientCertificate")),
    };
    section.finish();
    credentials
}

fn envoy(mut section: Section<'_>) -> Result<EnvoyOutput, Faulty> {
    let directory = section.optional("directory", absolute);
    let filter_module = section.required("filterModule", absolute);
    let cluster_prefix =
        section.or_default("clusterPrefix", "kube-apiserver", str::parse::<ClusterPrefix>);
    let cluster_removal_delay =
        section.or_default("clusterRemovalDelay", "30s", duration(SECOND, HOUR));
    section.finish();
    Ok(EnvoyOutput {
        directory: directory?,
        filter_module: filter_module?,
        cluster_prefix: cluster_prefix?,
        cluster_removal_delay: cluster_removal_delay?,
    })
}

fn polling(mut section: Section<'_>) -> Result<Polling, Faulty> {
    let short = duration(Duration::from_millis(100), 60 * SECOND);
    let interval = section.or_default("interval", "1s", &short);
    let timeout = section.or_default("timeout", "3s", &short);
    let max_response_bytes = section.number("maxResponseBytes", 32 << 20, 64 << 10..=1 << 30);
    section.finish();
    Ok(Polling { interval: interval?, timeout: timeout?, max_response_bytes: max_response_bytes? })
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "must be an IP address and port, such as 127.0.0.1:9902")?;
    // The endpoint lists all types of the cluster and authenticates nobody.
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("must be a loopback address, such as 127.0.0.1:9902".to_owned())
    }
}
