//! Reads who uses which types, as the API servers count it.

use anyhow::{Context, Result};
use http::Request;

use crate::args::Connection;
use crate::control_plane::plain;
use crate::facts::{Facts, Peer};
use crate::plan::usage::Usage;
use crate::servers;

/// Reads `/metrics` of each server in rotation. Returns those that cannot be read, and why.
pub async fn read(args: &Connection, facts: &Facts, usage: &mut Usage) -> Vec<String> {
    let mut unread = Vec::new();
    for peer in facts.peers.iter().filter(|peer| peer.is_in_rotation()) {
        match metrics(args, peer).await {
            Ok(text) => usage.add(&peer.name, &text),
            Err(error) => {
                unread.push(format!("requests at {} ({}): {error:#}", peer.name, peer.address));
            }
        }
    }
    unread
}

async fn metrics(args: &Connection, peer: &Peer) -> Result<String> {
    let name = if args.is_direct() { &peer.name } else { &peer.address };
    let client = servers::client(args, name).await?;
    let metrics = client.request_text(Request::get("/metrics").body(Vec::new())?).await;
    metrics.map_err(plain).context("/metrics")
}
