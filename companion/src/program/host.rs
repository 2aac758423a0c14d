//! Which requests the endpoint on loopback answers: those to an address or to `localhost`.
//!
//! Every web page may send requests to loopback, but a browser shows it the answers of its own origin
//! only. DNS rebinding goes around that: the page's own name is made to resolve to 127.0.0.1, so that
//! the endpoint is the page's origin. Such a request has the page's name as its host. It gets 421
//! (Misdirected Request, RFC 9110, section 15.5.20). No page can make its origin an IP address that
//! is not its server's, so every IP address is accepted: `kubectl port-forward --address` and `ssh -L`
//! work with any address and port.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Answers a request that does not name this host in place of the endpoint.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match foreign(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(host) => misdirected(&host),
    }
}

/// Returns the host that a request names if it is not this one. A request without a host comes from
/// no browser.
fn foreign(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let target = uri.authority().map(|authority| authority.as_str().as_bytes());
    let hosts = headers.get_all(header::HOST).iter().map(|value| value.as_bytes());
    let mut named = target.into_iter().chain(hosts);
    named.find(|host| !is_ours(host)).map(|host| String::from_utf8_lossy(host).into_owned())
}

fn is_ours(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// Returns a `Status` as API servers answer it.
fn misdirected(host: &str) -> Response {
    let message = format!(
        "the host {host:?} is not served here: use an IP address or localhost, such as \
         http://127.0.0.1:9902/"
    );
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "code": StatusCode::MISDIRECTED_REQUEST.as_u16(),
    });
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::MISDIRECTED_REQUEST, content_type, format!("{status}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_this_host_with_any_port() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9902",
            "127.8.9.10:1",
            "[::1]:9902",
            "[::1]",
            "localhost",
            "LOCALHOST:8080",
            "localhost.:1",
            "192.0.2.7:9902",
            "[2001:db8::1]:80",
            "0.0.0.0:1",
        ] {
            assert!(is_ours(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn other_names_and_strings_that_only_resemble_addresses_are_not_this_host() {
        for host in [
            "rebind.example.com:9902",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "127.0.0.1.nip.io:9902",
            "a.localhost.b",
            "xlocalhost",
            "0x7f.1",
            "2130706433",
            "127.1",
            "",
            ":9902",
            "[localhost]",
            "::1",
            "127.0.0.1 example.com",
            "\u{e9}",
        ] {
            assert!(!is_ours(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn each_host_of_a_request_must_be_this_one() {
        let found = |uri: &str, hosts: &[&'static str]| {
            let values = hosts.iter().map(|host| (header::HOST, host.parse().unwrap()));
            foreign(&uri.parse().unwrap(), &values.collect())
        };
        assert_eq!(found("/", &[]), None);
        assert_eq!(found("/", &["localhost", "127.0.0.1"]), None);
        assert_eq!(found("/", &["127.0.0.1", "evil.example"]).as_deref(), Some("evil.example"));
        // The absolute form.
        let target = "http://evil.example:9902/";
        assert_eq!(found(target, &["127.0.0.1"]).as_deref(), Some("evil.example:9902"));
        assert_eq!(found("http://[::1]:9902/", &[]), None);
    }
}
