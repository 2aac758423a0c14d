//! Headers on which the filter, the companion and Envoy's configuration must
//! agree.

/// The `Accept` value for `/api` and `/apis`: the forms of aggregated
/// discovery, best first. `profile=nopeer` asks a server that merges its peers'
/// types into its answer for its own types alone. The last two are for servers
/// before 1.30 and before 1.26.
pub const ACCEPT_AGGREGATED_DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;profile=nopeer;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
     application/json";

/// The `Accept` value for every other discovery document.
pub const ACCEPT_JSON: &str = "application/json";

/// The header by which the filter names the cluster that a request goes to.
/// Envoy strips a client's own: the route configuration lists the name in
/// `internal_only_headers`.
pub const CLUSTER_HEADER: &str = "x-mixed-version-proxy-cluster";

/// The suffix that makes the name of a cluster's twin, whose connections
/// present the front-proxy client certificate. No cluster of a serving set has
/// a name that ends in it.
pub const FRONT_PROXY_SUFFIX: &str = "__front-proxy";

/// The suffix that makes the name of the cluster of all peers in rotation,
/// without priorities: it is asked after a server that does not know a type. It
/// may have a twin. No cluster of a serving set has a name that ends in it.
pub const ROTATION_SUFFIX: &str = "__rotation";

/// The suffix that makes the name of the cluster with the endpoints of all sets, where clusters are
/// fixed. It may have a twin. No cluster of a serving set has a name that ends in it.
pub const SETS_SUFFIX: &str = "__sets";

/// The response header with which the filter makes Envoy ask another server. It
/// is removed from a server's response, and never reaches a client.
pub const DOUBT_HEADER: &str = "x-mixed-version-proxy-doubt";

/// The value of [`DOUBT_HEADER`] that Envoy's routes act on. It is removed from what
/// a server sends.
pub const DOUBT_MARK: &str = "1";

/// The response header that says how a request was decided. Envoy's routes remove what a server sends
/// in it, and set it from what the filter keeps with the stream.
pub const DECISION_HEADER: &str = "x-mixed-version-proxy-decision";

/// Headers that requests need for something else. Identity headers are removed
/// from every request, and set for clients with a certificate: with one of
/// these names that would break requests, or send them in somebody else's name.
const RESERVED: [&str; 15] = [
    "accept",
    "authorization",
    "connection",
    "cookie",
    "host",
    "http2-settings",
    "if-match",
    "if-none-match",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-forwarded-client-cert",
];

/// Prefixes whose headers are all reserved.
const RESERVED_PREFIXES: [&str; 6] = [
    "accept-",
    "content-",
    "impersonate-",
    "sec-websocket-",
    "x-mixed-version-proxy-",
    "x-stream-protocol-",
];

/// Returns whether this is the name of a header that has another use, so that
/// it cannot be an identity header. `name` is in lower case; `_` counts as `-`,
/// as it does when a client's headers are removed.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let name = name.as_bytes();
    RESERVED.iter().any(|reserved| is_header(name, reserved))
        || RESERVED_PREFIXES.iter().any(|reserved| has_header_prefix(name, reserved))
}

/// Returns whether a header that has another use begins with this prefix, so
/// that it cannot be a prefix of identity headers. `prefix` is as in
/// [`is_reserved`].
#[must_use]
pub fn is_reserved_prefix(prefix: &str) -> bool {
    let mut reserved = RESERVED.iter().chain(&RESERVED_PREFIXES);
    is_reserved(prefix) || reserved.any(|reserved| has_header_prefix(reserved.as_bytes(), prefix))
}

/// Returns whether a header has this name. Case does not matter, and `_` counts
/// as `-`, because some servers and proxies confuse them.
#[must_use]
pub fn is_header(name: &[u8], wanted: &str) -> bool {
    name.len() == wanted.len() && has_header_prefix(name, wanted)
}

/// Returns whether a header's name begins with this prefix, read as in
/// [`is_header`].
#[must_use]
pub fn has_header_prefix(name: &[u8], prefix: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= prefix.len() && name.iter().zip(prefix.bytes()).all(|(&a, b)| fold(a) == fold(b))
}

/// Returns whether this is a header's name in lower case (RFC 9110, `token`).
#[must_use]
pub fn is_lowercase_token(name: &str) -> bool {
    let token = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    !name.is_empty() && name.bytes().all(token)
}
