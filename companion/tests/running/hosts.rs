//! Which hosts the endpoint answers for: a web page whose name was made to resolve to 127.0.0.1 reads
//! nothing (DNS rebinding).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use pki::ports::free_port;
use serde_json::Value;

use crate::companion::{Companion, PATIENCE};
use crate::peers::{Authority, Peer};

/// The status and the body of what is answered to a request that names this host.
fn get(address: SocketAddr, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn the_endpoint_answers_for_addresses_and_localhost_and_metrics_for_every_host() {
    let authority = Authority::new();
    let peer = Peer::start(&authority, &["/v1/pods"]);
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let settings = format!("metricsListen: '{metrics}'");
    let companion = Companion::start_with(&authority, &[&peer], &settings);
    companion.wait_until_ready();

    let port = companion.listen.port();
    for host in [format!("127.0.0.1:{port}"), "localhost:8080".into(), "192.0.2.7:9902".into()] {
        assert_eq!(get(companion.listen, "/v1/peers", &host).0, 200, "{host}");
    }
    for path in ["/", "/v1/map", "/v1/events", "/metrics", "/readyz", "/no-such-path"] {
        let (status, body) = get(companion.listen, path, &format!("rebind.example.com:{port}"));
        assert_eq!(status, 421, "{path}: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["kind"], &body["code"]), (&"Status".into(), &421.into()));
        assert!(body["message"].as_str().unwrap().contains("rebind.example.com"), "{body}");
    }
    // Others read it by the name of a Service, or whatever Prometheus has.
    assert_eq!(get(metrics, "/metrics", "companion.example.com:9906").0, 200);
    assert_eq!(get(metrics, "/v1/map", "127.0.0.1").0, 404);
}
