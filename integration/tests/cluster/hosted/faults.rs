//! What goes wrong with a hosted control plane, and what is forgotten of it.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use harness::control_plane::User;
use harness::manifests::{CONFIG_MAPS, TAINT_RULES};
use harness::skew::NEWER;
use harness::wait;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use wire::client::Http;

use super::{DEADLINE, FORGET_AFTER, Hosted, OUTAGE, SERVERS, server, source_is};

impl Hosted {
    /// The hosting cluster's API ends and comes back: the peers stay.
    pub async fn outlast_the_hosting_api(&mut self) -> Result<()> {
        self.hosting.server_mut(0)?.kill_9();
        source_is(&self.stack, "failing").await?;
        tokio::time::sleep(OUTAGE).await;
        self.wait_for_rotation("the peers stay", SERVERS).await?;
        self.hosting.server_mut(0)?.start_again().await?;
        source_is(&self.stack, "fresh").await
    }

    /// The hosting cluster's API takes connections and answers nothing, not even its watches end: the
    /// companion notices, and the peers stay.
    pub async fn outlast_a_hanging_hosting_api(&mut self) -> Result<()> {
        let hosting = self.hosting.server_mut(0)?;
        hosting.process().context("it runs")?.signal(Signal::SIGSTOP)?;
        source_is(&self.stack, "failing").await?;
        self.wait_for_rotation("the peers stay", SERVERS).await?;
        let hosting = self.hosting.server_mut(0)?;
        hosting.process().context("it runs")?.signal(Signal::SIGCONT)?;
        source_is(&self.stack, "fresh").await
    }

    /// One slice is empty, and then all are: the peers stay.
    pub async fn outlast_an_empty_service(&mut self) -> Result<()> {
        self.pods.add_empty().await?;
        self.pods.fill_all(false).await?;
        source_is(&self.stack, "failing").await?;
        // The last slice that was emptied may have left the others' places first.
        ensure!(self.rotation().await? >= 1, "the last peer stays");
        self.pods.fill_all(true).await?;
        source_is(&self.stack, "fresh").await?;
        self.wait_for_rotation("all are back", SERVERS).await
    }

    /// A pod dies, and a server of another control plane listens where it was.
    pub async fn outlast_a_foreign_server(&mut self) -> Result<()> {
        let (pod, place) = self.running.pop().context("a pod that runs")?;
        let port = self.plane.server(place)?.port();
        let begun = Instant::now();
        self.plane.server_mut(place)?.kill_9();
        // The last word on an argument counts.
        let foreign = server("foreign", NEWER).argument(format!("--secure-port={port}"));
        self.hosting.add(foreign)?;
        let url = format!("https://127.0.0.1:{port}");
        let direct = self.hosting.client(&url, User::Admin, Http::One)?;
        wait::until("the foreign server", DEADLINE * 2, async || direct.get("/readyz").await?.ok())
            .await?;
        self.stops.push((begun, Instant::now()));
        wait::until("the companion asked it", DEADLINE, async || {
            let peers = self.stack.companion.json("/v1/peers").await?;
            let mut all = peers.as_array().into_iter().flatten();
            let peer = all.find(|peer| peer.get("name") == Some(&json!(pod)));
            let error = peer.and_then(|peer| peer.get("lastError")).and_then(Value::as_str);
            ensure!(error.is_some_and(|error| error.contains("certificate")), "{peers}");
            Ok(())
        })
        .await?;
        self.wait_for_rotation("it is not in rotation", SERVERS - 1).await?;
        self.pods.remove(&pod).await?;
        // What it shares with the hosting cluster is etcd, where everything would be that it got.
        let hosting =
            self.hosting.client(&self.hosting.server(0)?.url(), User::Admin, Http::One)?;
        let got = hosting.get(CONFIG_MAPS).await?.ok()?.json()?;
        let got = got.get("items").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(got == 0, "the foreign server got {got} objects");
        Ok(())
    }

    /// Waits until the types of the servers that left are forgotten. Returns when they may be, and
    /// fails if they are earlier.
    pub async fn forget(&self, left: Instant) -> Result<Instant> {
        let admin = self.client(Http::Two)?;
        ensure!(admin.get(TAINT_RULES).await?.status == 503, "they are remembered");
        let mut from = left + FORGET_AFTER;
        if cfg!(not(feature = "slow")) {
            from = Instant::now();
            let mut options = self.stack.options().clone();
            options.companion = json!({ "forgetAfter": "1s" });
            let config = options.companion_config(self.stack.companion.port())?;
            self.stack.companion.write_config(&config)?;
        }
        wait::until("a 404", FORGET_AFTER + DEADLINE, async || {
            let status = admin.get(TAINT_RULES).await?.status;
            ensure!(status == 404, "{status}");
            Ok(())
        })
        .await?;
        ensure!(Instant::now() >= from, "forgotten {:?} too early", from - Instant::now());
        Ok(from)
    }

    /// Waits for so many peers in rotation. A map follows what the companion says of the peers, and
    /// one that is late to answer is out of rotation for a moment.
    async fn wait_for_rotation(&self, what: &str, peers: usize) -> Result<()> {
        self.stack.wait_for_map(what, |map| map.rotation.len() == peers).await
    }

    async fn rotation(&self) -> Result<usize> {
        let map = self.stack.map().await?;
        Ok(map.get("rotation").and_then(Value::as_array).map_or(0, Vec::len))
    }
}
