//! What the programs beside the API servers have in common.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Process;

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
