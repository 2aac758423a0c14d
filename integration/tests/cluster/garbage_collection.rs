//! The worst effect of a wrong 404: the garbage collector deletes the children of
//! a living owner.
//!
//! ```text
//!   kube-controller-manager ──▶ relay ─┬▶ older               the load balancer that most have
//!                               (cuts) ├▶ Envoy, round robin ──▶ older, newer
//!                                      └▶ Envoy, filter ──────▶ older, newer
//! ```
//!
//! The same story four times, on the same servers, the last two with the filter:
//! as a collector with a token and as one with a client certificate. It starts on
//! the newer version and learns of all types, that of the owners too, which only
//! that one serves. Then its connections are closed, and the next ones lead elsewhere.
//! Owners and children are created, and again and again all of the collector's
//! connections are closed.
//!
//! A collector asks for an owner only when it has a reason to doubt: the child
//! came to its notice before the owner. Whether that is so is up to chance, so
//! half of the children have a second owner of a common type. When that one is
//! deleted the collector looks at the child, asks for the first owner, and
//! either takes the second out of the child's owners, which shows that it was
//! asked and answered right, or deletes the child.
//!
//! The servers' audit logs tell where it asked, and how it was answered.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControllerManagerOptions, User};
use harness::manifests::TAINT_RULES;
use harness::report::Entry;
use harness::site::{Site, stack_options};
use harness::skew::{NEW, NEWER, OLD, OLDER, without};
use harness::stack::Stack;
use wire::client::Http;

mod audit;
pub mod families;
mod story;

use audit::Audit;
use families::CHILDREN;
use story::{OWNERS, Outcome, story};

/// All children of a story, and those that have a second owner.
const ALL: usize = OWNERS * CHILDREN * 2;
const SHARED: usize = OWNERS * CHILDREN;

#[tokio::test]
async fn no_child_of_a_living_owner_is_deleted() -> Result<()> {
    let entry = Entry::begin("cluster_garbage_collection");
    let audit = Audit::new()?;
    let old = without(audit.logs.server("old", OLDER), &[TAINT_RULES])?;
    // The collector of the newer version would never meet the older server otherwise (ADR 0032).
    let servers = vec![old, audit.logs.server("new", NEWER)];
    let site = Site::start_ignoring_skew_policy(servers).await?;

    let old = site.plane.server(OLD)?.port();
    let (token, certificate) = (User::ControllerManager, User::ControllerManagerCertificate);
    let filtered = site.stack.port();
    let mut stories = Stories { site, audit, entry };
    let moved = stories.run_control(old, certificate, "moved-to-old").await?;
    let mut options = stack_options(&stories.site.plane, "plain")?;
    options.filter = false;
    let plain = Stack::start(options).await?;
    let without = stories.run_control(plain.port(), token, "without-filter").await?;
    drop(plain);
    let with = [
        stories.run(filtered, token, "with-filter").await?,
        stories.run(filtered, certificate, "with-filter-certificate").await?,
    ];

    // Without the filter, the fault appears. (Children that have one owner
    // only may still be on their way out when the others are gone.)
    ensure!(moved.deleted >= SHARED && moved.kept == 0, "{moved:#?}");
    ensure!(moved.asked.wrong > 0, "{moved:#?}");
    ensure!(without.deleted > 0 && without.asked.wrong > 0, "{without:#?}");
    for with in with {
        // With it, nothing is deleted and every answer is right…
        ensure!(with.deleted == 0 && with.asked.wrong == 0, "{with:#?}");
        // …although the collector asked for each owner, and reached both servers.
        ensure!(with.kept == SHARED && with.asked.owners.len() == OWNERS, "{with:#?}");
        ensure!(with.asked.by_server.len() == 2, "{with:#?}");
        ensure!(with.asked.by_server.values().all(|requests| *requests > 0), "{with:#?}");
        // Objects without an owner are still collected.
        ensure!(with.collected == ALL, "{with:#?}");
    }
    stories.entry.passed()
}

/// The site and its audit logs, and the report of all stories.
struct Stories {
    site: Site,
    audit: Audit,
    entry: Entry,
}

impl Stories {
    /// Runs a story without the filter, and once more if the first one does not end: every 30 s the
    /// collector learns all types anew (`restMapper.Reset` in kube-controller-manager). If it then asks
    /// a server without the owners' type, it no longer looks at their children.
    async fn run_control(&mut self, port: u16, user: User, name: &str) -> Result<Outcome> {
        match self.run(port, user, name).await {
            Err(error) if format!("{error:#}").contains("for the collector") => {
                let second = self.run(port, user, &format!("{name}-again")).await;
                second.with_context(|| format!("the second attempt; the first: {error:#}"))
            }
            ended => ended,
        }
    }

    /// One story: the collector's connections move from the newer server to `port`.
    async fn run(&mut self, port: u16, user: User, name: &str) -> Result<Outcome> {
        let (site, audit) = (&self.site, &self.audit);
        let admin = site.direct(NEW, Http::Two)?;
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (from, to) = (address(site.plane.server(NEW)?.port()), address(port));
        let start = async |url: String| site.plane.controller_manager(&collector(url, user)).await;
        let outcome = story(&admin, audit, start, from, to, name).await?;
        outcome.report(name, &mut self.entry);
        Ok(outcome)
    }
}

fn collector(url: String, user: User) -> ControllerManagerOptions {
    ControllerManagerOptions {
        version: NEWER,
        url,
        user,
        controllers: vec!["garbage-collector-controller".to_owned()],
        arguments: vec!["--kube-api-qps=500".to_owned(), "--kube-api-burst=500".to_owned()],
    }
}
