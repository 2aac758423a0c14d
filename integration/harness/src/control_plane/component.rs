//! What the components of a control plane have in common.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use fake_apiserver::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::artifacts::Artifact;
use crate::process::{Process, Program};

/// Names the version that the program of a newer one emulates (`emulated-control-plane` of `tools/with`):
/// building each version takes minutes.
const EMULATED_VERSION: &str = "MVP_EMULATED_VERSION";

/// Returns a component (`kube-apiserver`, …) of a version, with its log. Fails if the version was not
/// built.
pub(super) fn program(
    component: &str,
    version: Version,
    name: &str,
    log: PathBuf,
) -> Result<Program> {
    let binary = Artifact::ControlPlane(version).path()?;
    let program = Program::new(name, binary, log).arg(component);
    let emulated = std::env::var(EMULATED_VERSION).ok();
    let emulated = emulated.filter(|emulated| emulated == version.as_str());
    Ok(program.args(emulated.map(|version| format!("--emulated-version={version}"))))
}

/// Waits until something answers on `port`. The certificate is self-signed, so
/// without disabling verification only the port can be checked; it opens last.
pub(super) async fn wait_until_healthy(process: &mut Process, port: u16) -> Result<()> {
    let healthy = process.until("its port", Duration::from_secs(60), async || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
        ensure!(stream.read(&mut [0]).await? > 0, "it does not answer");
        anyhow::Ok(())
    });
    healthy.await
}
