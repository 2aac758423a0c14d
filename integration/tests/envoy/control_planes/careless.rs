//! An Envoy that keeps control planes apart by the host and by a header that a client sends: there,
//! requests of the corpus cross.

use anyhow::{Result, ensure};
use harness::envoy::{Envoy, EnvoyOptions};
use harness::shared_ingress::LISTENER;
use serde_json::{Value, json};
use wire::capture::Capture;

use super::corpus;
use super::names::host;
use super::run;
use super::scene::Plane;

#[tokio::test]
async fn the_corpus_finds_what_crosses() -> Result<()> {
    let [own, other] = [Plane::start("a", true).await?, Plane::start("ab", true).await?];
    let folder = tempfile::tempdir()?;
    let bootstrap = bootstrap(&own, &other).to_string();
    let envoy = Envoy::start(EnvoyOptions::new(bootstrap, folder.path())).await?;
    let cases = corpus::cases(&own.side(), &other.side());
    let port = envoy.listener_port(LISTENER).await?;
    run::send_all(&cases, &own.raw(port, None)?).await;
    let crossed: Vec<_> = other.captures.iter().flat_map(Capture::requests).collect();
    ensure!(crossed.len() > 60, "only {} crossed", crossed.len());
    for what in ["x-mixed-version-proxy-cluster", "x-forwarded-host", "host"] {
        ensure!(crossed.iter().any(|request| request.value(what).is_some()), "none by {what}");
    }
    Ok(())
}

fn bootstrap(own: &Plane, other: &Plane) -> Value {
    let route =
        |cluster: &str| json!({ "match": { "prefix": "/" }, "route": { "cluster": cluster } });
    let header = "x-mixed-version-proxy-cluster";
    let by_header = json!({
        "match": { "prefix": "/", "headers": [{ "name": header, "present_match": true }] },
        "route": { "cluster_header": header },
    });
    let name = host(other.name());
    let hosts = [
        json!({
            "name": "other",
            "domains": [name, format!("{name}:*"), format!("{name}.")],
            "routes": [route(other.name())],
        }),
        json!({ "name": "own", "domains": ["*"], "routes": [by_header, route(own.name())] }),
    ];
    let typed = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
    let manager = json!({
        "@type": typed("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "careless",
        "route_config": { "virtual_hosts": hosts },
        "http_filters": [{
            "name": "router",
            "typed_config": { "@type": typed("filters.http.router.v3.Router") },
        }],
    });
    let files = &own.config.server;
    let tls = json!({
        "@type": typed("transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{
                "certificate_chain": { "filename": files.certificate },
                "private_key": { "filename": files.key },
            }],
        },
    });
    let loopback =
        |port: u16| json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    json!({
        "admin": { "address": loopback(0) },
        "static_resources": {
            "listeners": [{
                "name": LISTENER,
                "address": loopback(0),
                "filter_chains": [{
                    "transport_socket": { "name": "tls", "typed_config": tls },
                    "filters": [{ "name": "http", "typed_config": manager }],
                }],
            }],
            "clusters": [cluster(own, typed), cluster(other, typed)],
        },
    })
}

fn cluster(plane: &Plane, typed: impl Fn(&str) -> String) -> Value {
    let endpoint = |(_, address): &(String, std::net::SocketAddr)| {
        let socket = json!({ "address": "127.0.0.1", "port_value": address.port() });
        json!({ "endpoint": { "address": { "socket_address": socket } } })
    };
    let endpoints: Vec<_> = plane.config.peers.iter().map(endpoint).collect();
    json!({
        "name": plane.name(),
        "load_assignment": {
            "cluster_name": plane.name(),
            "endpoints": [{ "lb_endpoints": endpoints }],
        },
        "transport_socket": {
            "name": "tls",
            "typed_config": { "@type": typed("transport_sockets.tls.v3.UpstreamTlsContext") },
        },
    })
}
