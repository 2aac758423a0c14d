//! The worst of a wrong 404: the garbage collector deletes the children of an
//! owner that is alive.
//!
//! ```text
//!   kube-controller-manager ──▶ relay ──▶ Envoy ──▶ 1.35, 1.36
//!                               (cuts)    (with the filter, or plain round robin)
//! ```
//!
//! The same story twice, on the same servers; only the filter differs. The
//! collector starts and learns of all types, that of the owners too, which only
//! 1.36 serves. Then its connections are closed and go through Envoy to both
//! servers. Owners and children come and go, and again and again all of its
//! connections are closed.
//!
//! A collector asks for an owner only when it has a reason to doubt. So each
//! child has a second owner of a common type; when that one is deleted the
//! collector looks at the child, asks for the first owner, and either takes the
//! second out of the child's owners, which shows that it was asked and answered
//! right, or deletes the child. The servers' audit logs tell where it asked.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use integration::client::{Client, Http};
use integration::control_plane::{ControllerManagerOptions, Version};
use integration::manifests::{CONFIG_MAPS, POLICIES};
use integration::relay::Relay;
use integration::report::Entry;
use integration::site::{Site, stack_options};
use integration::stack::Stack;
use integration::wait;

#[path = "cluster_garbage_collection/audit.rs"]
mod audit;
#[path = "cluster_garbage_collection/families.rs"]
mod families;

use audit::Audit;
use families::{CHILDREN, Family};

const OLD: usize = 0;
const NEW: usize = 1;

/// How many owners there are in each story.
const OWNERS: usize = 20;

/// The collector's connections are closed after so many owners.
const CUT_EVERY: usize = 4;

const DEADLINE: Duration = Duration::from_secs(90);

#[tokio::test]
async fn no_child_of_a_living_owner_is_deleted() -> Result<()> {
    let mut entry = Entry::begin("cluster_garbage_collection");
    let audit = Audit::new()?;
    let servers = [("old", Version::V1_35), ("new", Version::V1_36)];
    let servers = servers.map(|(name, version)| audit.server(name, version));
    let site = Site::start(servers.into()).await?;

    let mut options = stack_options(&site.plane, "plain")?;
    options.filter = false;
    let plain = Stack::start(options).await?;
    let without = story(&site, plain.port(), "without-filter", &audit).await?;
    drop(plain);
    without.report("withoutFilter", &mut entry);
    let with = story(&site, site.stack.port(), "with-filter", &audit).await?;
    with.report("withFilter", &mut entry);

    // Without the filter the test proves itself.
    ensure!(without.deleted > 0 && without.asked.wrong > 0, "{without:#?}");
    ensure!(with.deleted == 0, "{with:#?}");
    ensure!(with.kept == OWNERS * CHILDREN, "{with:#?}");
    // It was asked, always the right one, and it used both.
    ensure!(with.asked.wrong == 0 && with.asked.owners >= OWNERS as u64, "{with:#?}");
    ensure!(with.asked.by_server.values().all(|requests| *requests > 0), "{with:#?}");
    ensure!(with.collected == OWNERS * CHILDREN, "{with:#?}");
    entry.passed()
}

/// What happened in one story.
#[derive(Debug)]
struct Outcome {
    /// Children that were deleted though an owner was alive.
    deleted: usize,
    /// Children that were looked at and kept.
    kept: usize,
    /// Children that were deleted when their last owner was.
    collected: usize,
    /// What the collector asked through Envoy.
    asked: audit::Asked,
    connections: u64,
    time: Duration,
}

impl Outcome {
    fn report(&self, prefix: &str, entry: &mut Entry) {
        let mut set = |name: &str, value: u64| entry.set(&format!("{prefix}.{name}"), value);
        set("owners", OWNERS as u64);
        set("children", (OWNERS * CHILDREN) as u64);
        set("deletedThoughOwnerAlive", self.deleted as u64);
        set("keptAfterAnswer", self.kept as u64);
        set("collectedWithOwner", self.collected as u64);
        set("ownerGets", self.asked.owners);
        set("wrongOwner404s", self.asked.wrong);
        set("connections", self.connections);
        for (server, requests) in &self.asked.by_server {
            set(&format!("collectorRequestsTo.{server}"), *requests);
        }
        entry.set_ms(&format!("{prefix}.timeMs"), self.time);
    }
}

async fn story(site: &Site, envoy: u16, name: &str, audit: &Audit) -> Result<Outcome> {
    let admin = site.direct(NEW, Http::Two)?;
    let new = SocketAddr::from(([127, 0, 0, 1], site.plane.server(NEW)?.port()));
    let relay = Relay::start(new).await?;
    let mut manager = site.plane.controller_manager(&collector(relay.url())).await?;
    families::watched(&admin, name).await?;

    let started = Instant::now();
    let before = audit.asked(POLICIES)?;
    relay.move_to(SocketAddr::from(([127, 0, 0, 1], envoy)));
    let mut all = Vec::new();
    for number in 0..OWNERS {
        if number % CUT_EVERY == 0 {
            relay.cut();
        }
        all.push(Family::create(&admin, &format!("{name}-{number}")).await?);
    }
    for (number, family) in all.iter().enumerate() {
        if number % CUT_EVERY == 0 {
            relay.cut();
        }
        family.delete_second_owner(&admin).await?;
    }
    let (kept, deleted) = looked_at(&admin, &all).await?;
    for family in &all {
        family.ensure_owner_lives(&admin).await?;
    }
    let asked = audit.asked(POLICIES)?.since(&before);
    let time = started.elapsed();

    relay.cut();
    for family in &all {
        family.delete_owner(&admin).await?;
    }
    let collected = kept - if deleted == 0 { remaining(&admin, &all).await? } else { 0 };
    manager.process().ensure_running()?;
    Ok(Outcome { deleted, kept, collected, asked, connections: relay.accepted(), time })
}

fn collector(url: String) -> ControllerManagerOptions {
    ControllerManagerOptions {
        version: Version::V1_36,
        url,
        controllers: vec!["garbage-collector-controller".to_owned()],
        arguments: vec!["--kube-api-qps=500".to_owned(), "--kube-api-burst=500".to_owned()],
    }
}

/// Waits until the collector has looked at all children; how many it kept, and
/// how many it deleted.
async fn looked_at(admin: &Client, families: &[Family]) -> Result<(usize, usize)> {
    wait::until("the collector", DEADLINE, async || {
        let (mut kept, mut deleted) = (0, 0);
        let children = families::children(admin).await?;
        for name in families.iter().flat_map(Family::children) {
            match children.get(&name) {
                None => deleted += 1,
                Some(owners) if *owners == 1 => kept += 1,
                Some(owners) => anyhow::bail!("{name} has {owners} owners"),
            }
        }
        Ok((kept, deleted))
    })
    .await
}

/// How many children are left when their owners have been deleted, which is
/// none unless the collector does not work any more.
async fn remaining(admin: &Client, families: &[Family]) -> Result<usize> {
    wait::until("the children's end", DEADLINE, async || {
        let children = families::children(admin).await?;
        let names = families.iter().flat_map(Family::children);
        let left = names.filter(|name| children.contains_key(name)).count();
        ensure!(left == 0, "{left} of {CONFIG_MAPS} are left");
        Ok(left)
    })
    .await
}
