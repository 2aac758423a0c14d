//! Requests on the connection of one control plane that name another in every way.

use wire::raw::Request;

use super::names::host;
use super::types::{group, widgets};

/// The header that has the number of the case.
pub const CASE: &str = "x-case";

/// The header that has the control plane whose connection it came on.
pub const FROM: &str = "x-from";

/// One side of the corpus.
#[derive(Debug, Clone)]
pub struct Side {
    pub name: String,
    /// The ports of its servers.
    pub servers: Vec<u16>,
}

/// A request on a connection of one control plane.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub sent: Sent,
}

#[derive(Debug, Clone)]
pub enum Sent {
    One(Vec<u8>),
    Two(Request),
}

/// A path that all control planes serve.
const COMMON: &str = "/api/v1/namespaces/n/configmaps/c";

/// Headers that a proxy might take for the host or the destination. `{host}`, `{name}` and `{server}`
/// are those of the other control plane.
const HEADERS: [(&str, &str); 24] = [
    ("X-Forwarded-Host", "{host}"),
    ("X-Forwarded-Server", "{host}"),
    ("X-Original-Host", "{host}"),
    ("X-Host", "{host}"),
    ("Forwarded", "host={host};proto=https"),
    ("X-Original-URL", "https://{host}/api"),
    ("X-Rewrite-URL", "https://{host}/api"),
    ("X-Envoy-Original-Path", "https://{host}/api"),
    ("X-Envoy-Original-Host", "{host}"),
    ("X-Envoy-Original-Dst-Host", "{server}"),
    ("X-Envoy-Upstream-Alt-Stat-Name", "{name}"),
    ("X-Envoy-Decorator-Operation", "{name}"),
    ("X-Envoy-Retry-On", "5xx,retriable-headers"),
    ("X-Envoy-Attempt-Count", "5"),
    ("X-Envoy-Internal", "true"),
    ("X-Mixed-Version-Proxy-Cluster", "{name}"),
    ("X-Mixed-Version-Proxy-Cluster", "{name}__rotation"),
    ("X-Mixed-Version-Proxy-Cluster", "{name}__front-proxy"),
    ("X-Mixed-Version-Proxy-Cluster", "{name}__rotation__front-proxy"),
    ("x_mixed_version_proxy_cluster", "{name}__rotation"),
    ("X-Mixed-Version-Proxy-Doubt", "1"),
    ("X-Remote-User", "user-of-{name}"),
    ("X-Remote-Group", "system:masters"),
    ("X-Forwarded-Client-Cert", "Subject=\"CN=user-of-{name}\";DNS={host}"),
];

/// What stands in `Host` or `:authority`.
const HOSTS: [&str; 9] = [
    "{host}",
    "{HOST}",
    "{host}.",
    "{host}:443",
    "{host}:6443",
    "{server}",
    "user@{host}",
    "{own}, {host}",
    "{name}",
];

/// Paths; some are those of the other control plane alone.
const PATHS: [&str; 9] = [
    "{widgets}",
    "/{name}/api",
    "//{host}/api",
    "/../{name}/api",
    "/api/..;/{name}/api",
    "/api/v1/namespaces/n/services/https:{host}:6443/proxy/",
    "/apis/{group}",
    "/apis/{group}/v1",
    "/openapi/v3/apis/{group}/v1",
];

/// Whole requests of HTTP/1.1 without an end of the headers.
const REQUESTS: [(&str, &str); 10] = [
    ("absolute form", "GET https://{host}{common} HTTP/1.1\r\nHost: {own}\r\n"),
    ("absolute form, both", "GET https://{host}{common} HTTP/1.1\r\nHost: {host}\r\n"),
    ("absolute form, plain", "GET http://{host}:6443{common} HTTP/1.1\r\nHost: {own}\r\n"),
    ("two hosts", "GET {common} HTTP/1.1\r\nHost: {own}\r\nHost: {host}\r\n"),
    ("two hosts, other first", "GET {common} HTTP/1.1\r\nHost: {host}\r\nHost: {own}\r\n"),
    ("no host", "GET {common} HTTP/1.0\r\n"),
    ("CONNECT", "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n"),
    ("CONNECT to a server", "CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n"),
    (
        "upgrade to h2c",
        "GET {common} HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    ),
    (
        "exec",
        "GET /api/v1/namespaces/n/pods/p/exec?command=x HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    ),
];

/// Returns all requests on connections of `own` that name `other`.
pub fn cases(own: &Side, other: &Side) -> Vec<Case> {
    let mut builder = Builder { own, other, cases: Vec::new() };
    for (name, value) in HEADERS {
        for own_host in [true, false] {
            let host = if own_host { "{own}" } else { "{host}" };
            builder.one(
                &format!("{name}: {value}, {host}"),
                &format!("GET {{common}} HTTP/1.1\r\nHost: {host}\r\n{name}: {value}\r\n"),
            );
            builder.two(&format!("{name}: {value}, {host}"), "{common}", host, &[(name, value)]);
        }
    }
    for host in HOSTS {
        for path in ["{common}", "{widgets}", "/apis", "/version"] {
            builder.one(
                &format!("{host} {path}"),
                &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n"),
            );
            builder.two(&format!("{host} {path}"), path, host, &[]);
            builder.two(&format!("host, {host} {path}"), path, "{own}", &[("host", host)]);
        }
    }
    for path in PATHS {
        builder.one(path, &format!("GET {path} HTTP/1.1\r\nHost: {{own}}\r\n"));
        builder.two(path, path, "{own}", &[]);
    }
    for (name, request) in REQUESTS {
        builder.one(name, request);
    }
    builder.two_connect();
    builder.cases
}

struct Builder<'s> {
    own: &'s Side,
    other: &'s Side,
    cases: Vec<Case>,
}

impl Builder<'_> {
    fn filled(&self, text: &str) -> String {
        let other = &self.other.name;
        let server = self.other.servers.first().copied().unwrap_or_default();
        text.replace("{common}", COMMON)
            .replace("{widgets}", &widgets(other))
            .replace("{group}", &group(other))
            .replace("{own}", &host(&self.own.name))
            .replace("{host}", &host(other))
            .replace("{HOST}", &host(other).to_uppercase())
            .replace("{server}", &format!("127.0.0.1:{server}"))
            .replace("{name}", other)
    }

    fn one(&mut self, name: &str, request: &str) {
        let number = self.cases.len();
        let close = if request.contains("Connection:") { "" } else { "Connection: close\r\n" };
        let bytes = format!(
            "{}X-Case: {number}\r\nX-From: {}\r\n{close}\r\n",
            self.filled(request),
            self.own.name
        );
        let bytes = bytes.into_bytes();
        self.push("HTTP/1.1", name, Sent::One(bytes));
    }

    fn two(&mut self, name: &str, path: &str, authority: &str, more: &[(&str, &str)]) {
        let fields =
            [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", authority)];
        self.send_two(name, &[&fields, more].concat());
    }

    /// CONNECT in both forms of HTTP/2.
    fn two_connect(&mut self) {
        self.send_two("CONNECT", &[(":method", "CONNECT"), (":authority", "{host}:443")]);
        self.send_two(
            "extended CONNECT",
            &[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":path", "{common}"),
                (":authority", "{host}"),
            ],
        );
    }

    fn send_two(&mut self, name: &str, fields: &[(&str, &str)]) {
        let number = self.cases.len().to_string();
        let mut headers: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                (name.to_lowercase().into_bytes(), self.filled(value).into_bytes())
            })
            .collect();
        headers.push((CASE.as_bytes().to_vec(), number.into_bytes()));
        headers.push((FROM.as_bytes().to_vec(), self.own.name.clone().into_bytes()));
        self.push("HTTP/2", name, Sent::Two(Request { headers, body: None, trailers: None }));
    }

    fn push(&mut self, protocol: &str, name: &str, sent: Sent) {
        let name =
            format!("{protocol}, {} at {}: {}", self.other.name, self.own.name, self.filled(name));
        self.cases.push(Case { name, sent });
    }
}
