//! The load, the upstream, and the measurement of an Envoy.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Method, Request, Response};
use harness::measure::cpu_time;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use super::bootstrap::Case;

const BODY_BYTES: usize = 64 * 1024;
const CONNECTIONS: usize = 4;

/// The result of one measurement.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Envoy's CPU time per request, in microseconds.
    pub cpu: f64,
    /// The median latency of a request, in microseconds.
    pub p50: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub p99: f64,
}

/// Starts a server that answers every request with a body as long as its own,
/// or a short one to a request without.
pub async fn upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let body = to_bytes(Body::new(request.into_body()), BODY_BYTES).await.unwrap_or_default();
    let body = if body.is_empty() { Bytes::from_static(b"{\"kind\":\"Widget\"}\n") } else { body };
    let mut answer = Response::new(Body::from(body));
    let json = axum::http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert("content-type", json);
    Ok(answer)
}

/// Sends `requests` of `case` over a few connections to the Envoy on `port`.
pub async fn run(port: u16, pid: u32, case: Case, requests: usize) -> Result<Sample> {
    // A request with a body takes several times as long.
    let requests = if case == Case::Body { requests / 4 } else { requests };
    let each = requests / CONNECTIONS;
    let before = cpu_time(pid)?;
    let connections = (0..CONNECTIONS).map(|_| tokio::spawn(connection(port, case, each)));
    let mut latencies = Vec::with_capacity(requests);
    for connection in connections.collect::<Vec<_>>() {
        latencies.extend(connection.await??);
    }
    let used = cpu_time(pid)?.saturating_sub(before);
    latencies.sort_unstable();
    let percentile = |part: usize| {
        let index = (latencies.len() * part / 100).min(latencies.len().saturating_sub(1));
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    ensure!(!latencies.is_empty(), "no request");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let cpu = used.as_secs_f64() * 1e6 / latencies.len() as f64;
    Ok(Sample { cpu, p50: percentile(50), p99: percentile(99) })
}

async fn connection(port: u16, case: Case, requests: usize) -> Result<Vec<Duration>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let body = Bytes::from(vec![b'x'; BODY_BYTES]);
    let mut latencies = Vec::with_capacity(requests);
    for _ in 0..requests {
        let request = Request::builder()
            .uri(case.path())
            .header("host", "kubernetes")
            .header("accept", "application/json")
            .header("authorization", "Bearer token")
            .header("user-agent", case.user_agent());
        let request = match case {
            Case::Body => request.method(Method::PUT).body(Body::from(body.clone()))?,
            Case::NoSkew | Case::Rerouted | Case::Component => request.body(Body::empty())?,
        };
        sender.ready().await?;
        let begun = Instant::now();
        let answer = sender.send_request(request).await?;
        ensure!(answer.status() == 200, "{}", answer.status());
        to_bytes(Body::new(answer.into_body()), BODY_BYTES).await?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}
