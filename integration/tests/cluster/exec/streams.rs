//! Streams to a pod: logs, exec, attach and port-forward.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::control_plane::{Kubectl, RunningKubectl};
use harness::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The pod, in the namespace `default`.
pub const POD: &str = "echo";

/// How many streams [`all`] opens.
pub const COUNT: usize = 3;

const MEBIBYTE: usize = 1 << 20;

/// The protocol of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    WebSocket,
    Spdy,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::WebSocket, Self::Spdy];

    /// kubectl with this protocol.
    pub fn of(self, kubectl: &Kubectl) -> Kubectl {
        match self {
            Self::WebSocket => kubectl.clone(),
            Self::Spdy => kubectl.clone().with_spdy(),
        }
    }

    /// Fails unless kubectl's log shows this protocol: if WebSocket fails, kubectl
    /// silently uses SPDY.
    fn ensure_used(self, said: &str) -> Result<()> {
        let upgrade = match self {
            Self::WebSocket => "Upgrade: websocket",
            Self::Spdy => "Upgrade: SPDY/3.1",
        };
        let upgraded = said.contains("101 Switching Protocols") && said.contains(upgrade);
        ensure!(upgraded, "it is not used: {said}");
        Ok(())
    }
}

/// Makes kubectl tell of the upgrade.
const VERBOSE: &str = "-v=8";

/// Every kind of stream that begins with an upgrade.
pub async fn all(kubectl: &Kubectl, protocol: Protocol) -> Result<()> {
    let kubectl = &protocol.of(kubectl);
    exec(kubectl, protocol).await.context("exec")?;
    attach(kubectl, protocol).await.context("attach")?;
    port_forward(kubectl, protocol).await.context("port-forward")
}

/// A mebibyte there and back, an error message, an exit code.
async fn exec(kubectl: &Kubectl, protocol: Protocol) -> Result<()> {
    let input = text();
    let command = [VERBOSE, "exec", "-i", POD, "--", "cat", "err:oops", "exit:3"];
    let output = kubectl.run_with_input(&command, input.as_bytes()).await?;
    let same = output.stdout == input;
    let (stderr, code) = (&output.stderr, output.code);
    ensure!(same, "{} other bytes came back: {stderr}", output.stdout.len());
    ensure!(stderr.contains("oops\n") && code == Some(3), "{stderr} ({code:?})");
    protocol.ensure_used(stderr)
}

async fn attach(kubectl: &Kubectl, protocol: Protocol) -> Result<()> {
    let output = kubectl.run_with_input(&[VERBOSE, "attach", "-i", POD], b"hello\n").await?;
    ensure!(output.success && output.stdout == "attached\nhello\n", "{output:?}");
    protocol.ensure_used(&output.stderr)
}

/// A mebibyte there and back at once, over each of two connections.
async fn port_forward(kubectl: &Kubectl, protocol: Protocol) -> Result<()> {
    let mut forward =
        kubectl.start(&[VERBOSE, "port-forward", "--address=127.0.0.1", POD, ":80"])?;
    let line = forward.next_line().await?;
    let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next());
    let address = address.with_context(|| format!("kubectl says {line}"))?;
    let (one, other) = tokio::join!(echo(address), echo(address));
    one.and(other)?;
    forward.ensure_running()?;
    let used = async || protocol.ensure_used(&forward.said());
    wait::until("kubectl's words", Duration::from_secs(10), used).await
}

async fn echo(address: &str) -> Result<()> {
    let input = text();
    let mut stream = TcpStream::connect(address).await?;
    let (mut from, mut to) = stream.split();
    let mut back = vec![0; input.len()];
    let (sent, received) = tokio::join!(to.write_all(input.as_bytes()), from.read_exact(&mut back));
    sent?;
    received?;
    ensure!(back == input.as_bytes(), "other bytes came back");
    Ok(())
}

/// Returns a mebibyte in which no two places are the same.
fn text() -> String {
    (0..MEBIBYTE / 8).map(|number| format!("{number:07}\n")).collect()
}

/// A log, read with `follow`.
pub struct Log {
    kubectl: RunningKubectl,
    lines: usize,
}

impl Log {
    /// Opens the log and reads its first line.
    pub async fn follow(kubectl: &Kubectl) -> Result<Self> {
        let mut log = Self { kubectl: kubectl.start(&["logs", "--follow", POD])?, lines: 0 };
        log.goes_on(1).await?;
        Ok(log)
    }

    /// Reads `lines` more lines, which must be in order.
    pub async fn goes_on(&mut self, lines: usize) -> Result<()> {
        for _ in 0..lines {
            let line = self.kubectl.next_line().await.context("the log")?;
            self.lines += 1;
            ensure!(line == format!("line {}", self.lines), "{line} in place of {}", self.lines);
        }
        Ok(())
    }
}
