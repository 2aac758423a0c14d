//! `kubectl skew plan`: what the next version changes, and who would notice.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use api_discovery::MinorVersion;
use clap::Args;
use discovery_map::PeerState;
use kube::Client;

use super::usage;
use crate::args::{Connection, Format};
use crate::builtin::{ApiType, Availability, BuiltIn, Release, other_versions};
use crate::check::Verdict;
use crate::control_plane::{Count, DEFINITIONS, Objects, count, list};
use crate::facts::Facts;
use crate::plan::changes::{self, Changes, Served};
use crate::plan::custom::CustomResources;
use crate::plan::rollout::{Rollout, oldest};
use crate::plan::usage::Usage;
use crate::plan::{Found, Plan, Resource};
use crate::screen::Screen;
use crate::types::{Row, rows};
use crate::{output, servers, source};

#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// The minor version to upgrade to, such as 1.37. Without it, the one after that of the oldest
    /// server.
    #[arg(long, value_name = "VERSION")]
    to: Option<MinorVersion>,
    /// The servers that are upgraded first, in order, by their peers' names. The others follow as they
    /// are listed.
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    order: Vec<String>,
    /// An audit log of an API server (audit.k8s.io/v1, one event in a line), which tells who uses the
    /// removed types; can be repeated.
    #[arg(long = "audit-log", value_name = "FILE")]
    audit_logs: Vec<PathBuf>,
    /// How to write the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl PlanArgs {
    /// Writes the plan. Returns its verdict.
    ///
    /// # Errors
    /// The companion or an audit log cannot be read, nothing is to be upgraded, or the table does not
    /// have the versions.
    pub async fn run(
        &self,
        args: &Connection,
        screen: &Screen,
        out: &mut dyn Write,
    ) -> Result<Verdict> {
        let facts = source::facts(args).await?;
        let table = BuiltIn::shipped()?;
        let rollout = Rollout::new(&facts.peers, self.target(&facts, &table)?, &self.order)?;
        let (from, to) = (table.release(rollout.from)?, table.release(rollout.to)?);
        let rows = rows(&facts.document);
        let changes = changes::of(&rows, &rollout, from, to);
        let found = self.find_out(args, &facts, &rows, &changes, to).await?;
        let plan = Plan::new(&rollout, changes, found);
        let text = output::render(self.output, &plan, |wide| plan.text(wide, screen))?;
        out.write_all(text.as_bytes())?;
        Ok(plan.verdict)
    }

    fn target(&self, facts: &Facts, table: &BuiltIn) -> Result<MinorVersion> {
        let next = || table.after(oldest(&facts.peers)?);
        self.to.or_else(next).context("no newer version is known: specify one with --to")
    }

    /// Finds out who uses the types that change.
    async fn find_out(
        &self,
        args: &Connection,
        facts: &Facts,
        rows: &[Row],
        changes: &Changes,
        to: Release<'_>,
    ) -> Result<Found> {
        let mut found = Found::default();
        // Before this program requests something itself.
        let unread = usage::read(args, facts, &mut found.usage).await;
        found.usage_is_complete = unread.is_empty();
        found.not_examined.extend(unread);
        let going = || changes.removed.iter().chain(&changes.off);
        let types: BTreeSet<_> = going().map(|served| &served.api).collect();
        for file in &self.audit_logs {
            found.audit.read(file, &types)?;
        }
        for served in going() {
            // Those that servers serve today, and that stay.
            let stays = |row: &&Row| to.of(&ApiType::from(*row)) == Availability::On;
            let others: Vec<_> = other_versions(rows, &served.api).filter(stays).collect();
            let versions = others.iter().map(|row| row.version.clone()).collect();
            let objects = match objects(args, others.first().copied(), served, &found.usage).await {
                Ok(count) => count,
                Err(error) => {
                    found.not_examined.push(format!("objects of {}: {error}", served.api));
                    None
                }
            };
            found.resources.insert(served.api.clone(), Resource { objects, versions });
        }
        match definitions(args, facts).await {
            Ok(definitions) => found.custom_resources = CustomResources::of(&definitions, to),
            Err(error) => found.not_examined.push(format!("CustomResourceDefinitions: {error}")),
        }
        Ok(found)
    }
}

/// Counts the objects of a resource; `None` of a subresource. If it stays in another version, that one
/// is listed, because a request for a deprecated version would itself be counted as its use.
async fn objects(
    args: &Connection,
    other: Option<&Row>,
    served: &Served,
    usage: &Usage,
) -> Result<Option<u64>, String> {
    let Some(own) = served.api.collection() else { return Ok(None) };
    let (collection, by) = match (other, usage.objects(&served.api)) {
        (Some(row), _) => (row.collection().unwrap_or(own), row.served_by.first()),
        (None, Some(count)) => return Ok(Some(count)),
        (None, None) => (own, served.by.first()),
    };
    match count(&client(args, by).await?, &collection).await {
        Count::Some(count) => Ok(Some(count)),
        Count::NotListable => Ok(None),
        Count::NotServed => Err(format!("{collection} is not served")),
        Count::Failed(error) => Err(error),
    }
}

async fn definitions(args: &Connection, facts: &Facts) -> Result<Vec<serde_json::Value>, String> {
    let serving = facts.peers.iter().find(|peer| peer.state == PeerState::Serving);
    match list(&client(args, serving.map(|peer| &peer.name)).await?, DEFINITIONS).await {
        Objects::Listed(items) => Ok(items),
        Objects::NotServed => Err("not served".to_owned()),
        Objects::Failed(error) => Err(error),
    }
}

async fn client(args: &Connection, server: Option<&String>) -> Result<Client, String> {
    servers::of_objects(args, server).await.map_err(|error| format!("{error:#}"))
}
