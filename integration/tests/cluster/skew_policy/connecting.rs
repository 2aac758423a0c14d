//! When Envoy did not reach a server. On a busy machine, it may take too long to connect to one: the request
//! goes on to another server, and after two such failures Envoy ejects this one.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use harness::clusters::{Cluster, Clusters};
use harness::site::Site;
use tokio::task::JoinSet;
use wire::client::Client;

use super::rotation::Times;

/// Between two looks at what Envoy says.
const LOOK: Duration = Duration::from_millis(200);

/// Envoy's `connect_timeout`. A request may have waited this long before Envoy sent it to another server, and
/// may arrive there this much later.
const CONNECT: Duration = Duration::from_secs(1);

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
            times.push(before - CONNECT..=SystemTime::now() + CONNECT);
        }
        (before, last) = (began, now);
    }
}

async fn look(admin: &Client, port: u16) -> Result<Reach> {
    let clusters = Clusters::read(admin).await?;
    let hosts = clusters.iter().flat_map(Cluster::hosts);
    Ok(hosts.filter(|host| host.port() == Some(port)).fold(Reach::default(), |reach, host| Reach {
        is_ejected: reach.is_ejected || host.is_ejected(),
        failed_connections: reach.failed_connections + host.stat("cx_connect_fail"),
    }))
}
