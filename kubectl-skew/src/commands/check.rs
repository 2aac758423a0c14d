//! `kubectl skew check`: the gate of an upgrade script, by its exit code.

use std::io::Write;

use anyhow::{Result, ensure};
use api_discovery::MinorVersion;
use clap::Args;
use discovery_map::Mode;
use http::Uri;
use kube::Client;

use super::envoy;
use crate::args::{Connection, Format};
use crate::builtin::BuiltIn;
use crate::check::missing::{Comparison, Direction, Missing, Question, compare};
use crate::check::storage::Dropped;
use crate::check::stored::Stored;
use crate::check::{Check, Finding, Report, Verdict, envoys, orphans, rollback, storage};
use crate::control_plane::{Count, DEFINITIONS, Objects, count, list};
use crate::facts::Facts;
use crate::screen::Screen;
use crate::source::{Known, Served};
use crate::types::{Row, rows};
use crate::{output, servers, source};

const MIGRATIONS: [&str; 2] = [
    "/apis/storagemigration.k8s.io/v1/storageversionmigrations",
    "/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations",
];

#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The server that is to be taken down, by its peer's name. Without it, each one in rotation is
    /// checked.
    #[arg(long, value_name = "PEER")]
    stop: Option<String>,
    /// Check for a rollback: objects that it would strand are a reason not to go on.
    #[arg(long)]
    rollback: bool,
    /// The minor version that the control plane goes to, such as 1.37; with --rollback, the one that it
    /// goes back to. Without it, while servers have different versions, what the newest and the older ones
    /// serve is compared; otherwise the next version counts, or the previous one.
    #[arg(long, value_name = "VERSION")]
    to: Option<MinorVersion>,
    /// An Envoy's admin interface, such as http://127.0.0.1:9901, whose map is compared with the
    /// companion's; can be repeated. It must be an Envoy that reads the files of this companion; those that
    /// it serves over ADS are checked without it.
    #[arg(long = "envoy", value_name = "URL")]
    envoys: Vec<Uri>,
    /// Maximum age of the information about a server, in seconds.
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
        findings.extend(self.of_envoys(args, &facts, envoys).await?);

        let (table, rows) = (BuiltIn::shipped()?, rows(&facts.document));
        let question = |direction| {
            let is_asked = self.rollback == (direction == Direction::Rollback);
            let table = is_asked.then_some(&table);
            Question { direction, to: self.to.filter(|_| is_asked), table }
        };
        let up = compare(&rows, &facts.peers, question(Direction::Upgrade))?;
        let back = compare(&rows, &facts.peers, question(Direction::Rollback))?;
        let asked = Asked { args, attempts: attempts(&facts) };
        // What the newest servers lack is a reason to go back, not against it.
        findings.extend(stored(up.as_ref().filter(|_| !self.rollback), &asked).await);
        if let Some(back) = &back {
            findings.extend(stranded(back, &asked, self.rollback).await);
        }
        for (check, comparison) in [(Check::Storage, up), (Check::Rollback, back)] {
            let reason = comparison.and_then(|comparison| comparison.not_examined);
            findings.extend(reason.map(|reason| Finding::new(check, Verdict::Warning, "", reason)));
        }
        let report = Report::new(findings);
        let text = output::render(self.output, &report, |_| report.text(screen))?;
        out.write_all(text.as_bytes())?;
        Ok(report.verdict)
    }

    /// Checks the Envoys that a companion serves over ADS, and those that the user names.
    async fn of_envoys(
        &self,
        args: &Connection,
        facts: &Facts,
        served: Option<Served>,
    ) -> Result<Vec<Finding>> {
        ensure!(
            self.envoys.is_empty() || served.is_some(),
            "--envoy requires a companion, whose map is compared"
        );
        let mut findings = Vec::new();
        for url in &self.envoys {
            let generation = envoy::map_generation(url, args.request_timeout).await;
            findings.push(envoys::of_generation(url, generation, facts.map.generation));
        }
        match served {
            None => findings.extend(envoys::unknown()),
            Some(served) => {
                // Those that read files are the ones that the user named.
                if findings.is_empty() || !served.envoys.is_without_ads() {
                    findings.extend(envoys::check(&served.envoys));
                }
                let others = served.other_companions;
                findings.extend((others > 0).then(|| envoys::of_others(others)));
            }
        }
        Ok(findings)
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
        servers::of_objects(self.args, served_by).await.map_err(|error| format!("{error:#}"))
    }

    /// Counts the objects of each type, in a version that stays if there is one: a list in a deprecated
    /// version would itself be counted as its use.
    async fn counted(&self, missing: &[Missing<'_>]) -> Vec<Stored> {
        let mut stored = Vec::new();
        for Missing { row, is_optional, successor } in missing {
            stored.push(Stored {
                name: row.name(),
                is_optional: *is_optional,
                has_successor: successor.is_some(),
                count: self.count(successor.unwrap_or(row)).await,
            });
        }
        stored
    }

    async fn count(&self, row: &Row) -> Count {
        let Some(collection) = row.collection() else { return Count::NotListable };
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
async fn stored(comparison: Option<&Comparison<'_>>, asked: &Asked<'_>) -> Vec<Finding> {
    let types = match comparison {
        Some(comparison) => asked.counted(&comparison.missing).await,
        None => Vec::new(),
    };
    let dropped = comparison.map(|comparison| Dropped { at: &comparison.at, types: &types });
    let mut migrations = asked.list(MIGRATIONS[0]).await;
    if migrations == Objects::NotServed {
        migrations = asked.list(MIGRATIONS[1]).await;
    }
    storage::check(dropped, &migrations, &asked.list(DEFINITIONS).await)
}

/// Checks what a rollback would strand.
async fn stranded(comparison: &Comparison<'_>, asked: &Asked<'_>, strict: bool) -> Vec<Finding> {
    // What is served there in another version stays within reach.
    let gone = comparison.missing.iter().filter(|one| one.successor.is_none());
    let gone: Vec<_> = gone.cloned().collect();
    rollback::check(&comparison.at, &asked.counted(&gone).await, strict)
}
