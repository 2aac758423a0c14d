//! When Envoy did not reach a server. On a busy machine, it may take too long to connect to one: the request
//! goes on to another server, and after two such failures Envoy ejects this one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use harness::site::Site;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use wire::client::Client;

use super::rotation::Times;

/// Between two looks at what Envoy says.
const LOOK: Duration = Duration::from_millis(200);

/// The times at which Envoy could not connect to a server, or ejected it from some cluster, until this is
/// dropped.
pub struct Connecting {
    times: Arc<Mutex<Times>>,
    watch: JoinSet<Result<()>>,
}

impl Connecting {
    /// Watches the server at a port.
    pub fn to(site: &Site, port: u16) -> Result<Self> {
        let admin = Client::plain(site.stack.envoy.admin_port())?;
        let times = Arc::<Mutex<Times>>::default();
        let mut watch = JoinSet::new();
        watch.spawn(follow(admin, port, Arc::clone(&times)));
        Ok(Self { times, watch })
    }

    /// Returns the times so far. Fails if a look at Envoy failed.
    pub fn times(&mut self) -> Result<Times> {
        if let Some(ended) = self.watch.try_join_next() {
            ended??;
            bail!("nobody looks at what Envoy says");
        }
        Ok(self.times.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// What Envoy says of a server, over all clusters that have it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Reach {
    is_ejected: bool,
    failed_connections: u64,
}

/// What changes does so between two looks, so the times reach from the look before to the one after.
async fn follow(admin: Client, port: u16, times: Arc<Mutex<Times>>) -> Result<()> {
    let (mut before, mut last) = (SystemTime::now(), look(&admin, port).await?);
    loop {
        tokio::time::sleep(LOOK).await;
        let began = SystemTime::now();
        let now = look(&admin, port).await?;
        // A request that waited for the connection went on to another server.
        if now.is_ejected || now != last {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            times.push(before..=SystemTime::now());
        }
        (before, last) = (began, now);
    }
}

async fn look(admin: &Client, port: u16) -> Result<Reach> {
    let clusters = admin.get("/clusters?format=json").await?.ok()?.json()?;
    let clusters = clusters.get("cluster_statuses").and_then(Value::as_array);
    let hosts = |cluster: &Value| cluster.get("host_statuses")?.as_array().cloned();
    let hosts = clusters.context("no clusters")?.iter().filter_map(hosts).flatten();
    let is_it =
        |host: &Value| host.pointer("/address/socket_address/port_value") == Some(&json!(port));
    Ok(hosts.filter(is_it).fold(Reach::default(), |reach, host| Reach {
        is_ejected: reach.is_ejected
            || host.pointer("/health_status/failed_outlier_check") == Some(&json!(true)),
        failed_connections: reach.failed_connections + failed_connections(&host),
    }))
}

fn failed_connections(host: &Value) -> u64 {
    let stats = host.get("stats").and_then(Value::as_array);
    let stat = stats.and_then(|all| all.iter().find(|stat| stat["name"] == "cx_connect_fail"));
    // Envoy writes 64-bit numbers as strings.
    let value = stat.and_then(|stat| stat.get("value")).and_then(Value::as_str);
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}
