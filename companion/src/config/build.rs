//! From the sections of a control plane to its [`Config`]: fields, defaults and bounds.
//!
//! A function reads all fields of its section before the first `?`, so that
//! one fault hides no other.

use std::net::SocketAddr;
use std::time::Duration;

use discovery_map::Mode;

use super::answering::AnsweringPolicy;
use super::events::{EventsTarget, events};
use super::header::RequestHeaders;
use super::model::{CredentialFiles, PeerTls, Polling};
use super::peers::{PeerSource, peer_address, peers};
use super::reader::{Faulty, Section};
use super::request_headers::request_headers;
use super::skew_policy::SkewPolicy;
use super::tls::key_pair;
use super::value::{ServerName, absolute, duration};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// What every control plane has, in whichever file.
pub(super) struct Common {
    pub peers: PeerSource,
    pub local_peer: Option<SocketAddr>,
    pub peer_tls: PeerTls,
    pub credentials: CredentialFiles,
    pub polling: Polling,
    pub forget_after: Duration,
    pub trust_first_peers: bool,
    pub mode: Mode,
    pub decision_header_groups: Vec<String>,
    pub answering_version: AnsweringPolicy,
    pub skew_policy: SkewPolicy,
    pub request_headers: RequestHeaders,
    pub events: Option<EventsTarget>,
}

/// The fields of [`Common`].
pub(super) const COMMON: [&str; 13] = [
    "peers",
    "localPeer",
    "peerTls",
    "credentials",
    "polling",
    "forgetAfter",
    "trustFirstPeers",
    "mode",
    "decisionHeaderGroups",
    "answeringVersion",
    "skewPolicy",
    "requestHeaders",
    "events",
];

pub(super) fn common(top: &mut Section<'_>) -> Result<Common, Faulty> {
    let peers = top.section("peers").and_then(peers);
    let local_peer = local_peer(top, peers.as_ref().ok());
    let peer_tls = top.section("peerTls").and_then(peer_tls);
    let credentials = top.section("credentials").and_then(credentials);
    let polling = top.section_or_empty("polling").and_then(polling);
    let forget_after = top.or_default("forgetAfter", "1h", duration(SECOND, 30 * 24 * HOUR));
    let trust_first_peers = top.flag("trustFirstPeers");
    let mode = top.or_default("mode", "enforce", str::parse::<Mode>);
    let decision_header_groups = top.strings("decisionHeaderGroups", Vec::new(), group);
    let answering_version =
        top.or_default("answeringVersion", "majority", str::parse::<AnsweringPolicy>);
    let skew_policy = top.or_default("skewPolicy", "keep", str::parse::<SkewPolicy>);
    let request_headers = top.section_or_empty("requestHeaders").and_then(request_headers);
    let events = top.optional_section("events", events);
    Ok(Common {
        peers: peers?,
        local_peer: local_peer?,
        peer_tls: peer_tls?,
        credentials: credentials?,
        polling: polling?,
        forget_after: forget_after?,
        trust_first_peers: trust_first_peers?,
        mode: mode?,
        decision_header_groups: decision_header_groups?,
        answering_version: answering_version?,
        skew_policy: skew_policy?,
        request_headers: request_headers?,
        events: events?,
    })
}

/// Reads a group, as a client certificate can have it.
fn group(text: &str) -> Result<String, String> {
    let is_valid = !text.is_empty() && text.trim() == text && !text.contains(char::is_control);
    let rule = "must be a group, without control characters and without blanks around it";
    if is_valid { Ok(text.to_owned()) } else { Err(rule.to_owned()) }
}

/// Returns the peer on Envoy's host. A list of peers must have it; other sources may not have it yet.
fn local_peer(
    top: &mut Section<'_>,
    peers: Option<&PeerSource>,
) -> Result<Option<SocketAddr>, Faulty> {
    let local = top.optional("localPeer", peer_address)?;
    if let (Some(local), Some(PeerSource::Static(peers))) = (local, peers)
        && !peers.iter().any(|peer| peer.address == local)
    {
        return Err(top.fault("localPeer", "must be the address of an entry of peers.static"));
    }
    Ok(local)
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

fn polling(mut section: Section<'_>) -> Result<Polling, Faulty> {
    let short = duration(Duration::from_millis(100), 60 * SECOND);
    let interval = section.or_default("interval", "1s", &short);
    let timeout = section.or_default("timeout", "3s", &short);
    let max_response_bytes = section.number("maxResponseBytes", 32 << 20, 64 << 10..=1 << 30);
    section.finish();
    Ok(Polling { interval: interval?, timeout: timeout?, max_response_bytes: max_response_bytes? })
}
