//! Judges whether a request may arrive at a peer as it did.

use wire::capture::{CapturedRequest, Protocol};

/// The identity that must arrive for a client, regardless of its request.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The identity headers, in lower case and sorted by name.
    pub identity: Vec<(String, Vec<u8>)>,
    /// The client certificate (DER) on the connection.
    pub certificate: Option<Vec<u8>>,
    /// The bearer token.
    pub token: Option<String>,
}

const CLUSTER: &str = discovery_map::CLUSTER_HEADER;
const TWIN: &[u8] = b"__front-proxy";

/// Returns the claims that arrived, but are not part of the expected identity.
pub fn gained(record: &CapturedRequest, expected: &Expected) -> Vec<String> {
    let mut faults = Vec::new();
    let mut identity: Vec<_> = record
        .headers
        .iter()
        .map(|(name, value)| (normalized(name), value.clone()))
        .filter(|(name, _)| is_claim(name) && name != CLUSTER)
        .collect();
    // Stable: the order of groups counts.
    identity.sort_by(|(one, _), (other, _)| one.cmp(other));
    if identity != expected.identity {
        faults.push(format!("the identity headers {}", shown(&identity)));
    }
    let trailers: Vec<_> = record
        .trailers
        .iter()
        .map(|(name, value)| (normalized(name), value.clone()))
        .filter(|(name, _)| is_claim(name))
        .collect();
    if !trailers.is_empty() {
        faults.push(format!("the trailers {}", shown(&trailers)));
    }
    // The filter's own says where the request went.
    let clusters = record.headers.iter().filter(|(name, _)| normalized(name) == CLUSTER);
    for (name, value) in clusters {
        let is_own =
            name == CLUSTER.as_bytes() && value.ends_with(TWIN) == expected.certificate.is_some();
        if !is_own {
            faults.push(format!("the cluster {}", value.escape_ascii()));
        }
    }
    faults
}

/// Returns all faults of a request that arrived.
pub fn faults(record: &CapturedRequest, expected: &Expected, paths: &[Vec<u8>]) -> Vec<String> {
    let mut faults = gained(record, expected);
    if record.certificate.as_deref() != expected.certificate.as_deref() {
        let presented = if record.certificate.is_some() { "a" } else { "no" };
        faults.push(format!("a connection with {presented} client certificate"));
    }
    let token = expected.token.as_ref().map(|token| format!("Bearer {token}").into_bytes());
    if record.values("authorization").ne(token.as_deref()) {
        faults.push("another Authorization".to_owned());
    }
    if !paths.contains(&record.path) {
        faults.push(format!("the path {}", record.path.escape_ascii()));
    }
    let listed = record.values("connection").flat_map(|value| value.split(|&byte| byte == b','));
    for token in listed.map(|token| token.trim_ascii().to_ascii_lowercase()) {
        if ![&b"upgrade"[..], b"close", b"keep-alive"].contains(&token.as_slice()) {
            faults.push(format!("Connection lists {}", token.escape_ascii()));
        }
    }
    faults.extend(ambiguous(record));
    faults
}

/// Returns the parts that two servers could read differently.
fn ambiguous(record: &CapturedRequest) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, value) in record.headers.iter().chain(&record.trailers) {
        let is_pseudo = record.protocol == Protocol::Two && name.starts_with(b":");
        let token = name.get(usize::from(is_pseudo)..).unwrap_or_default();
        let is_token = !token.is_empty() && token.iter().all(|&byte| is_token_byte(byte));
        if !is_token {
            faults.push(format!("the header name {}", name.escape_ascii()));
        }
        if value.iter().any(|byte| b"\r\n\0".contains(byte)) {
            faults.push(format!("the header value {}", value.escape_ascii()));
        }
    }
    let lengths = record.values("content-length").count();
    let codings = record.values("transfer-encoding").count();
    if lengths + codings > 1 {
        faults.push("more than one length".to_owned());
    }
    faults
}

/// RFC 9110, 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns a header name as the most lenient server reads it.
fn normalized(name: &[u8]) -> String {
    let kept = name.iter().filter(|byte| byte.is_ascii_graphic() && !b":\"".contains(byte));
    kept.map(|&byte| char::from(byte).to_ascii_lowercase())
        .map(|letter| if letter == '_' { '-' } else { letter })
        .collect()
}

fn is_claim(name: &str) -> bool {
    let exact = [CLUSTER, "x-forwarded-client-cert", "x-kubernetes-apiserver-rerouted"];
    let of_prefix =
        |rest: &str| ["user", "group", "uid"].contains(&rest) || rest.starts_with("extra-");
    let prefixes = ["x-remote-", "x-sso-"];
    exact.contains(&name)
        || prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(of_prefix))
}

fn shown(fields: &[(String, Vec<u8>)]) -> String {
    let shown = fields.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii()));
    shown.collect::<Vec<_>>().join(" ")
}
