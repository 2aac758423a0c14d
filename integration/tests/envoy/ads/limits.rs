//! Clients that connect and ask for nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, ensure};
use harness::ads::{self, AdsCompanion, loopback};
use harness::simulated::{Simulated, tls};
use harness::wait;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::DEADLINE;

/// How many handshakes of one address the companion allows at once.
const HANDSHAKES: usize = 128;

#[tokio::test]
async fn clients_that_say_nothing_keep_nobody_else_out() -> Result<()> {
    let (_fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES + 50 {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(IpAddr::from([127, 0, 0, 2]), 0))?;
        silent.push(socket.connect(loopback(companion.port)).await?);
    }
    wait::until("the last ones to be refused", DEADLINE, async || {
        let refused = refused(&companion, "limit").await?;
        ensure!(refused >= 50, "{refused} refused");
        anyhow::Ok(())
    })
    .await?;
    let tls = tls(site.pki(), &site.envoy_certificate())?;
    Simulated::connect(companion.port, tls, "a").await?.next_map(None).await?;
    // The others are refused, too, when they have said nothing for some time.
    for mut silent in silent {
        let ended = tokio::time::timeout(DEADLINE, silent.read_u8()).await?;
        ensure!(ended.is_err(), "the companion said something");
    }
    let late = refused(&companion, "handshake").await?;
    ensure!(late >= 1, "{late} refused");
    Ok(())
}

#[tokio::test]
async fn clients_without_streams_are_bounded_and_strangers_take_nobodys_place() -> Result<()> {
    let (_fleet, site) = ads::skewed().await?;
    let companion = site.companion_with("companion-1", &json!({ "maxClients": 1 })).await?;
    let allowed = tls(site.pki(), &site.envoy_certificate())?;
    let stranger = tls(site.pki(), &site.pki().for_any_purpose("stranger", "stranger")?)?;
    let mut strangers = Vec::new();
    for _ in 0..4 {
        strangers.push(connect(&companion, &stranger).await?);
    }
    Simulated::connect(companion.port, Arc::clone(&allowed), "a").await?.next_map(None).await?;

    // A client may have two connections for a moment.
    let mut idle = Vec::new();
    wait::until("connections to be refused", DEADLINE, async || {
        idle.push(connect(&companion, &allowed).await?);
        let refused = refused(&companion, "limit").await?;
        ensure!(refused > 0, "{} connections", idle.len());
        // The connection of the client before may have taken a place until now.
        let more = Simulated::connect(companion.port, Arc::clone(&allowed), "a").await;
        ensure!(more.is_err(), "too many connections");
        anyhow::Ok(())
    })
    .await?;
    drop(idle);
    wait::until("a place", DEADLINE, async || {
        let mut client = Simulated::connect(companion.port, Arc::clone(&allowed), "a").await?;
        client.next_map(None).await
    })
    .await?;
    drop(strangers);
    Ok(())
}

/// Connects and asks for nothing.
async fn connect(
    companion: &AdsCompanion,
    tls: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(loopback(companion.port)).await?;
    let connector = TlsConnector::from(Arc::clone(tls));
    Ok(connector.connect(ServerName::try_from("companion")?, stream).await?)
}

/// Returns how many clients were refused for this reason.
async fn refused(companion: &AdsCompanion, reason: &str) -> Result<u64> {
    let name = format!("ads_clients_refused_total{{reason=\"{reason}\"}}");
    companion.companion.metric(&name).await
}
