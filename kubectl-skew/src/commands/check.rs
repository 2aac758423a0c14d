//! `kubectl skew check`: the gate of an upgrade script, by its exit code.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::Result;
use clap::Args;
use discovery_map::Mode;
use kube::Client;

use crate::args::{Connection, Format};
use crate::check::storage::Dropped;
use crate::check::{Finding, Report, Verdict, envoys, orphans, rollback, storage};
use crate::control_plane::{Count, Objects, count, list};
use crate::facts::Facts;
use crate::screen::Screen;
use crate::source::Known;
use crate::types::{Row, rows};
use crate::{kubeconfig, output, servers, source};

const MIGRATIONS: [&str; 2] = [
    "/apis/storagemigration.k8s.io/v1/storageversionmigrations",
    "/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations",
];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The server that is to be taken down, by its peer's name. Without it, each one in rotation is
    /// checked.
    #[arg(long, value_name = "PEER")]
    stop: Option<String>,
    /// Check for a rollback: objects that it would strand are a reason not to go on.
    #[arg(long)]
    rollback: bool,
    /// How old what is known of a server may be, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    max_age: u64,
    /// How to write the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl CheckArgs {
    /// Writes the report, and returns its verdict.
    ///
    /// # Errors
    /// The companion cannot be reached, or no server has the name.
    pub async fn run(
        &self,
        args: &Connection,
        screen: &Screen,
        out: &mut dyn Write,
    ) -> Result<Verdict> {
        let Known { facts, envoys, changes } = source::known(args).await?;
        let (history, stop) = ((&changes, super::now()), self.stop.as_deref());
        let mut findings = orphans::check(&facts, history, stop, self.max_age)?;
        findings.extend(envoys.map_or_else(envoys::unknown, |known| envoys::check(&known)));
        let asked = Asked { args, attempts: attempts(&facts) };
        findings.extend(stored(&facts, &asked).await);
        findings.extend(stranded(&facts, &asked, self.rollback).await);
        let report = Report::new(findings);
        let text = output::render(self.output, &report, |_| report.text(screen))?;
        out.write_all(text.as_bytes())?;
        Ok(report.verdict)
    }
}

/// Who is asked for objects: the server of the kubeconfig, which should be Envoy; without a
/// companion, a server that serves the type.
struct Asked<'a> {
    args: &'a Connection,
    /// How many servers are asked, one after the other, before none serves a type.
    attempts: usize,
}

/// Returns how often Envoy must be asked. In shadow mode it sends requests to any server, and not to
/// one that serves the type, so it is asked until each server should have been met, by several of its
/// workers, and each worker does its own round robin.
fn attempts(facts: &Facts) -> usize {
    const ROUNDS: usize = 4;
    if facts.map.mode == Mode::Shadow { facts.peers.len().saturating_mul(ROUNDS) } else { 1 }
}

impl Asked<'_> {
    async fn client(&self, served_by: Option<&String>) -> Result<Client, String> {
        let client = match served_by.filter(|_| self.args.is_direct()) {
            Some(name) => servers::client(self.args, name).await,
            None => kubeconfig::client(self.args).await,
        };
        client.map_err(|error| format!("{error:#}"))
    }

    async fn count(&self, row: &Row) -> Count {
        let Some(collection) = row.collection() else { return Count::NotServed };
        let client = match self.client(row.served_by.first()).await {
            Ok(client) => client,
            Err(error) => return Count::Failed(error),
        };
        for _ in 1..self.attempts {
            let counted = count(&client, &collection).await;
            if counted != Count::NotServed {
                return counted;
            }
        }
        count(&client, &collection).await
    }

    async fn list(&self, collection: &str) -> Objects {
        let client = match self.client(None).await {
            Ok(client) => client,
            Err(error) => return Objects::Failed(error),
        };
        for _ in 1..self.attempts {
            let listed = list(&client, collection).await;
            if listed != Objects::NotServed {
                return listed;
            }
        }
        list(&client, collection).await
    }
}

/// Checks what is stored.
async fn stored(facts: &Facts, asked: &Asked<'_>) -> Vec<Finding> {
    let rows = rows(&facts.document);
    let mut dropped = Vec::new();
    for row in only_of(&rows, facts, Side::Older) {
        let has_successor = has_other_version(&rows, row, &newest(facts));
        let count = asked.count(row).await;
        dropped.push(Dropped { name: row.name(), has_successor, count });
    }
    let mut migrations = asked.list(MIGRATIONS[0]).await;
    if migrations == Objects::NotServed {
        migrations = asked.list(MIGRATIONS[1]).await;
    }
    storage::check(&dropped, &migrations, &asked.list(DEFINITIONS).await)
}

/// Checks what a rollback would strand.
async fn stranded(facts: &Facts, asked: &Asked<'_>, strict: bool) -> Vec<Finding> {
    let rows = rows(&facts.document);
    let older = older(facts);
    let mut newer = Vec::new();
    for row in only_of(&rows, facts, Side::Newest) {
        // What the older servers serve in another version stays within reach.
        if !has_other_version(&rows, row, &older) {
            newer.push((row.name(), asked.count(row).await));
        }
    }
    rollback::check(&newer, strict)
}

/// The side of an upgrade.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Older,
    Newest,
}

/// Returns the names of the peers of the newest version.
fn newest(facts: &Facts) -> BTreeSet<&str> {
    let newest = facts.peers.iter().filter_map(|peer| peer.minor_version).max();
    let peers = facts.peers.iter().filter(|peer| peer.minor_version == newest);
    peers.map(|peer| &*peer.name).collect()
}

/// Returns the names of the peers of earlier versions.
fn older(facts: &Facts) -> BTreeSet<&str> {
    let newest = newest(facts);
    let names = facts.peers.iter().map(|peer| &*peer.name);
    names.filter(|name| !newest.contains(name)).collect()
}

/// Returns the types with objects that only peers of one side serve; none if all have one version.
fn only_of<'r>(rows: &'r [Row], facts: &Facts, side: Side) -> Vec<&'r Row> {
    let (newest, older) = (newest(facts), older(facts));
    if older.is_empty() {
        return Vec::new();
    }
    let own = if side == Side::Newest { newest } else { older };
    let is_own = |name: &String| own.contains(name.as_str());
    let only = |row: &&Row| {
        row.collection().is_some() && !row.served_by.is_empty() && row.served_by.iter().all(is_own)
    };
    rows.iter().filter(only).collect()
}

/// Returns whether one of these peers serves the resource in another version.
fn has_other_version(rows: &[Row], row: &Row, peers: &BTreeSet<&str>) -> bool {
    let same = rows.iter().filter(|other| {
        (&other.group, &other.resource) == (&row.group, &row.resource)
            && other.version != row.version
    });
    let mut servers = same.flat_map(|other| &other.served_by);
    servers.any(|name| peers.contains(name.as_str()))
}
