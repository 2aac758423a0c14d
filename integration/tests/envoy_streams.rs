//! What goes on for long or is large passes through, and what cannot pass is
//! refused in words that a client understands.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::client::Http;
use integration::control_plane::Version;
use integration::fleet::Fleet;
use integration::manifests::CONFIG_MAPS;
use integration::wait;
use serde_json::{Value, json};

/// A list of this many objects of this size is much larger than all buffers on
/// its way.
const OBJECTS: usize = 400;
const OBJECT_BYTES: usize = 256 * 1024;
const LIST_BYTES: u64 = (OBJECTS * OBJECT_BYTES) as u64;

const DEADLINE: Duration = Duration::from_secs(60);

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
        // Nobody reads: what is read of the server piles up where it is buffered.
        settled(&stack).await?;
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

/// The bytes that Envoy has allocated.
async fn memory(stack: &integration::stack::Stack) -> Result<u64> {
    stack.envoy.stat("server.memory_allocated").await?.context("no such statistic")
}

/// Until nothing more comes from the server.
async fn settled(stack: &integration::stack::Stack) -> Result<()> {
    const RECEIVED: &str = "cluster.kube-apiserver.upstream_cx_rx_bytes_total";
    wait::until("the server's answer to stop", DEADLINE, async || {
        let before = stack.envoy.stat(RECEIVED).await?.unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = stack.envoy.stat(RECEIVED).await?.unwrap_or_default();
        ensure!(before == after, "{} bytes came", after - before);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_upgrade_that_cannot_pass_is_a_bad_request_with_the_reason() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let raw = fleet.raw_client(stack.port())?;
    let upgrade = |kind: &str| {
        format!(
            "GET /api/v1/namespaces/n/pods/p/exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: {kind}\r\n\r\n"
        )
    };
    let connect = "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n".to_owned();
    for request in [upgrade("mqtt"), upgrade("tls/1.2"), connect] {
        let answer = raw.exchange(request.as_bytes()).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        ensure!(answer.starts_with("HTTP/1.1 400 "), "{request}{answer}");
        ensure!(answer.contains("content-type: application/json\r\n"), "{request}{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let status: Value = serde_json::from_str(body)?;
        let field = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
        ensure!(field("kind") == "Status" && field("reason") == "BadRequest", "{status}");
        ensure!(field("message").contains("SPDY/3.1"), "{status}");
    }
    Ok(())
}
