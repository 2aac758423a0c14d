//! The story itself. The caller decides where the collector's connections lead.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use harness::control_plane::ControllerManager;
use harness::relay::Relay;
use harness::report::Entry;
use harness::wait;
use wire::client::Client;

use super::audit::{Asked, Audit};
use super::families::{self, Family};

/// How many owners there are.
pub const OWNERS: usize = 20;

/// The collector's connections are closed after this many owners.
const CUT_EVERY: usize = 4;

/// After each cut the collector waits longer before it watches again, up to a minute.
const DEADLINE: Duration = Duration::from_secs(120);

/// The outcome of a story.
#[derive(Debug)]
pub struct Outcome {
    /// Children that were deleted though their owner was alive.
    pub deleted: usize,
    /// Children that the collector looked at, and kept.
    pub kept: usize,
    /// Children that were deleted when their owner was.
    pub collected: usize,
    /// What the collector asked after its connections moved, up to the
    /// deletion of the owners.
    pub asked: Asked,
    connections: u64,
    time: Duration,
}

impl Outcome {
    /// Adds the figures to the report.
    pub fn report(&self, story: &str, entry: &mut Entry) {
        entry.set(
            story,
            serde_json::json!({
                "owners": OWNERS,
                "children": OWNERS * families::CHILDREN * 2,
                "deletedThoughOwnerAlive": self.deleted,
                "keptAfterAnswer": self.kept,
                "collectedWithOwner": self.collected,
                "ownersAskedFor": self.asked.owners.len(),
                "ownerGets": self.asked.gets,
                "wrongOwner404s": self.asked.wrong,
                "collectorRequests": self.asked.by_server,
                "collectorConnections": self.connections,
                "milliseconds": u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            }),
        );
    }
}

/// A collector that `start` starts at an address learns at `from`, then works
/// at `to`. `admin` goes straight to the newer server, so it is never wrong.
pub async fn story(
    admin: &Client,
    audit: &Audit,
    start: impl AsyncFn(String) -> Result<ControllerManager>,
    from: SocketAddr,
    to: SocketAddr,
    name: &str,
) -> Result<Outcome> {
    let relay = Relay::start(from).await?;
    let mut manager = start(relay.url()).await?;
    families::watched(admin, name).await?;
    let (started, before) = (Instant::now(), audit.read(name)?);
    relay.move_to(to);

    let mut all = Vec::new();
    for number in 0..OWNERS {
        cut_sometimes(&relay, number);
        all.push(Family::create(admin, &format!("{name}-{number}")).await?);
    }
    for (number, family) in all.iter().enumerate() {
        cut_sometimes(&relay, number);
        family.delete_second_owner(admin).await?;
    }
    let (deleted, kept) = looked_at(admin, &all).await?;
    for family in &all {
        family.ensure_owner_lives(admin).await?;
    }
    let (asked, time) = (audit.read(name)?.since(&before), started.elapsed());

    let left = families::count(admin, &all).await?;
    relay.cut();
    for family in &all {
        family.delete_owner(admin).await?;
    }
    // Without a way to the owners' type it cannot see that they went.
    let collected = if deleted == 0 { left - none_left(admin, &all).await? } else { 0 };
    manager.process().ensure_running()?;
    Ok(Outcome { deleted, kept, collected, asked, connections: relay.accepted(), time })
}

fn cut_sometimes(relay: &Relay, number: usize) {
    if number.is_multiple_of(CUT_EVERY) {
        relay.cut();
    }
}

/// Waits until the collector has looked at all children that have, or had, a
/// second owner; how many children of any kind it deleted, and how many of
/// these it kept.
async fn looked_at(admin: &Client, families: &[Family]) -> Result<(usize, usize)> {
    wait::until("the collector", DEADLINE, async || {
        let owners = families::owners_of_children(admin).await?;
        let (mut deleted, mut kept) = (0, 0);
        for family in families {
            deleted += family.single().filter(|name| !owners.contains_key(name)).count();
            for name in family.shared() {
                match owners.get(&name).map(Vec::as_slice) {
                    None => deleted += 1,
                    Some([kind]) if kind == families::OWNER_KIND => kept += 1,
                    Some(kinds) => bail!("{name} has the owners {kinds:?}"),
                }
            }
        }
        Ok((deleted, kept))
    })
    .await
}

/// Waits until all children of the deleted owners are gone.
async fn none_left(admin: &Client, families: &[Family]) -> Result<usize> {
    wait::until("the children's end", DEADLINE, async || {
        let left = families::count(admin, families).await?;
        ensure!(left == 0, "{left} are left");
        Ok(left)
    })
    .await
}
