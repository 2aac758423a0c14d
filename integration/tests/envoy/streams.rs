//! Long and large requests pass through. Requests that cannot pass are refused
//! with a reason that a client understands.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use futures_util::{StreamExt, stream};
use harness::envoy::FROM_SERVERS;
use harness::fleet::Fleet;
use harness::manifests::CONFIG_MAPS;
use harness::stack::Stack;
use harness::wait;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use wire::capture::{ANSWER, Capture};
use wire::client::Http;
use wire::raw::{Answer, Raw, Request};

/// A list of this many objects of this size is much larger than all buffers on
/// its way.
const OBJECTS: usize = 400;
const OBJECT_BYTES: usize = 256 * 1024;
const LIST_BYTES: u64 = (OBJECTS * OBJECT_BYTES) as u64;

/// The body of a request that is as large, in pieces.
const PIECES: usize = 1600;
const PIECE_BYTES: usize = 64 * 1024;
const BODY_BYTES: u64 = (PIECES * PIECE_BYTES) as u64;

const DEADLINE: Duration = Duration::from_secs(60);

/// The bytes that Envoy reads from its clients.
const FROM_CLIENTS: &str = "http.kubernetes.downstream_cx_rx_bytes_total";

#[tokio::test]
async fn a_large_list_is_not_buffered() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let data = "x".repeat(OBJECT_BYTES);
    let direct = fleet.client(&format!("https://127.0.0.1:{}", port(&fleet)?), Http::Two)?;
    for number in 0..OBJECTS {
        let name = format!("large-{number}");
        let object = json!({ "metadata": { "name": name }, "data": { "large": data } });
        direct.post(CONFIG_MAPS, &object).await?.ok()?;
    }
    for http in [Http::One, Http::Two] {
        let client = fleet.client(&stack.url(), http)?;
        let before = memory(&stack).await?;
        let mut response = client.stream(CONFIG_MAPS).await?.error_for_status()?;
        // The client does not read, so the server's bytes fill any buffer.
        settled(&stack, FROM_SERVERS).await?;
        let piled = memory(&stack).await?.saturating_sub(before);
        ensure!(piled < LIST_BYTES / 4, "{http:?}: {piled} bytes of {LIST_BYTES} in Envoy");
        let mut read = 0;
        while let Some(chunk) = response.chunk().await? {
            read += chunk.len() as u64;
        }
        ensure!(read > LIST_BYTES, "{http:?}: only {read} bytes of {LIST_BYTES}");
    }
    Ok(())
}

fn port(fleet: &Fleet) -> Result<u16> {
    Ok(fleet.peers.first().context("no peer")?.port())
}

/// Starts a capture and a stack in front of it.
async fn captured(fleet: &Fleet) -> Result<(Capture, Stack)> {
    let captures = fleet.captures().await?;
    let options = fleet.captured_stack_options(&captures)?;
    let capture = captures.into_iter().next().context("no peer")?;
    let stack = Stack::start_with_map(options).await?;
    Ok((capture, stack))
}

#[tokio::test]
async fn a_large_body_is_not_buffered() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let (capture, stack) = captured(&fleet).await?;
    for http in [Http::One, Http::Two] {
        capture.read_on(false);
        let before = memory(&stack).await?;
        let client = fleet.client(&stack.url(), http)?;
        let request = client
            .request(Method::POST, CONFIG_MAPS)
            .timeout(2 * DEADLINE)
            .header(ANSWER, "late")
            .header("content-length", BODY_BYTES)
            .body(large_body());
        let sending = tokio::spawn(async move { client.send(request).await });
        let begun = async || capture.requests().len() == 1 + usize::from(http == Http::Two);
        wait::until_true("the request at the server", DEADLINE, begun).await?;
        // The server does not read, so the client's bytes fill any buffer.
        settled(&stack, FROM_CLIENTS).await?;
        let piled = memory(&stack).await?.saturating_sub(before);
        ensure!(piled < BODY_BYTES / 4, "{http:?}: {piled} bytes of {BODY_BYTES} in Envoy");
        ensure!(!sending.is_finished(), "{http:?}: the client is not held back");
        capture.read_on(true);
        let answer = sending.await??.ok()?;
        ensure!(answer.text() == BODY_BYTES.to_string(), "{http:?}: {} arrived", answer.text());
    }
    Ok(())
}

fn large_body() -> Body {
    let piece = |_| Ok::<_, std::convert::Infallible>(vec![b'x'; PIECE_BYTES]);
    Body::wrap_stream(stream::iter(0..PIECES).map(piece))
}

/// Returns the bytes that Envoy has allocated at this moment.
async fn memory(stack: &Stack) -> Result<u64> {
    let allocated = stack.envoy.allocated_bytes().await?;
    ensure!(allocated > 0, "this Envoy does not count what it allocates");
    Ok(allocated)
}

/// Waits until Envoy stops reading.
async fn settled(stack: &Stack, received: &str) -> Result<()> {
    stack.envoy.wait_full(received, (0, 1), Duration::from_millis(500), DEADLINE).await
}

/// Through the `proxy` of a node, a pod and a service, to which kube-apiserver
/// passes an upgrade on as it came. (A real one proxies to no loopback address,
/// so that its part cannot be seen here.)
const PROXIED: [&str; 3] = [
    "/api/v1/nodes/n/proxy/exec/default/p/main",
    "/api/v1/namespaces/n/pods/p/proxy/ws",
    "/api/v1/namespaces/n/services/https:s:443/proxy/ws?x=1",
];

#[tokio::test]
async fn an_upgrade_through_a_proxy_carries_bytes_both_ways() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let (_capture, stack) = captured(&fleet).await?;
    let raw = Raw::new(stack.port(), &fleet.pki().ca_pem(), None)?;
    for (path, protocol) in
        PROXIED.iter().flat_map(|path| [(path, "websocket"), (path, "SPDY/3.1")])
    {
        let mut connection = raw.one().await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\n{ANSWER}: echo\r\n\
             Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        connection.send(head.as_bytes()).await?;
        let statuses = connection.statuses(1, DEADLINE).await;
        ensure!(statuses == [101], "{protocol} {path}: {statuses:?}");
        for text in ["there and back", "and once more"] {
            connection.send(text.as_bytes()).await?;
            wait::until(text, DEADLINE, async || {
                // No further answer comes: only bytes.
                connection.statuses(2, Duration::from_millis(20)).await;
                let received = String::from_utf8_lossy(connection.received()).into_owned();
                ensure!(received.ends_with(text), "{protocol} {path}: {received}");
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// The path of a request to run a command.
const EXEC: &str = "/api/v1/namespaces/n/pods/p/exec";

#[tokio::test]
async fn an_unsupported_upgrade_is_refused_with_the_reason() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let raw = Raw::new(stack.port(), &fleet.pki().ca_pem(), None)?;
    let upgrade = |kind: &str| {
        format!("GET {EXEC} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: {kind}\r\n\r\n")
    };
    let connect = "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n".to_owned();
    for request in [upgrade("mqtt"), upgrade("tls/1.2"), connect] {
        let answer = raw.exchange(request.as_bytes(), DEADLINE).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        ensure!(answer.starts_with("HTTP/1.1 400 "), "{request}{answer}");
        ensure!(answer.contains("content-type: application/json\r\n"), "{request}{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        ensure_it_says_what_passes(body.as_bytes())?;
    }
    Ok(())
}

#[tokio::test]
async fn connect_over_http2_is_refused_with_the_reason() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let raw = Raw::new(stack.port(), &fleet.pki().ca_pem(), None)?;
    let connect = [(":method", "CONNECT"), (":authority", "h:443")];
    let headers = connect.map(|(name, value)| (name.into(), value.into())).to_vec();
    let mut connection = raw.two().await?;
    let id = connection.send(&Request { headers, ..Request::default() }).await?;
    let answer = connection.answer(id, DEADLINE).await;
    ensure!(answer == Answer::Status(400), "{answer:?}");
    ensure_it_says_what_passes(&connection.data(id, DEADLINE).await.context("no body")?)
}

/// Envoy does not say that it takes them (RFC 8441, section 3), so a client that
/// sends one breaks the protocol.
#[tokio::test]
async fn a_websocket_over_http2_is_refused() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let raw = Raw::new(stack.port(), &fleet.pki().ca_pem(), None)?;
    let extended_connect = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", EXEC),
        (":authority", "h"),
        ("sec-websocket-version", "13"),
    ];
    let headers = extended_connect.map(|(name, value)| (name.into(), value.into())).to_vec();
    let mut connection = raw.two().await?;
    let id = connection.send(&Request { headers, ..Request::default() }).await?;
    let answer = connection.answer(id, DEADLINE).await;
    ensure!(matches!(answer, Answer::Closed | Answer::Reset(_)), "{answer:?}");
    Ok(())
}

fn ensure_it_says_what_passes(body: &[u8]) -> Result<()> {
    let status: Value = serde_json::from_slice(body)?;
    let field = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(field("kind") == "Status" && field("reason") == "BadRequest", "{status}");
    ensure!(field("message").contains("SPDY/3.1"), "{status}");
    Ok(())
}
