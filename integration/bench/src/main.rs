//! `make bench`: what the filter costs, measured against a plain Envoy and
//! against Envoy's Lua filter doing the same look-up.
//!
//! ```text
//!   load (this process, 4 connections) ──▶ Envoy × {plain, Lua, filter} × {100, 5000 resources}
//!                                              └──▶ upstream (this process)
//! ```
//!
//! All Envoys run at once, each with one worker. A round measures each of them
//! for a moment, in an order that rotates; what is compared is measured within
//! one round, and a figure is the median over the rounds. CPU is what the
//! kernel says that Envoy's threads ran, in nanoseconds (schedstat), so another
//! busy process disturbs it little; latency it does.

mod bootstrap;
mod load;
mod report;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use harness::artefacts::integration_folder;
use harness::envoy::{Envoy, EnvoyOptions};

use bootstrap::{Case, SIZES, Variant};
use load::Sample;

#[derive(Debug, Parser)]
#[command(about = "Envoy's CPU and latency per request: plain, Lua, this filter")]
struct Arguments {
    /// How many rounds; figures are medians over them.
    #[arg(long, default_value_t = 120)]
    rounds: usize,
    /// Requests of each measurement. Few: what disturbs the machine for longer
    /// than a round disturbs all that is compared.
    #[arg(long, default_value_t = 400)]
    requests: usize,
    /// Where the report goes.
    #[arg(long, default_value = "target/bench/report.json")]
    output: PathBuf,
}

/// One Envoy that is measured.
struct Subject {
    variant: Variant,
    resources: usize,
    port: u16,
    pid: u32,
    // Kept alive for its drop.
    _envoy: Envoy,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let upstream = load::upstream().await?;
    let mut subjects = Vec::new();
    for variant in Variant::ALL {
        for resources in SIZES {
            eprintln!("bench: starting Envoy: {}, {resources} resources", variant.name());
            let bootstrap = bootstrap::bootstrap(variant, resources, upstream)?;
            let place = folder.path().join(format!("{}-{resources}", variant.name()));
            let envoy = Envoy::start(EnvoyOptions::new(bootstrap, place).concurrency(1)).await?;
            let (port, pid) = (envoy.listener_port("bench").await?, envoy.pid()?);
            subjects.push(Subject { variant, resources, port, pid, _envoy: envoy });
        }
    }

    let mut samples = Vec::new();
    for case in Case::ALL {
        // The first round warms caches, pools and V8's tiers up.
        for round in 0..=arguments.rounds {
            eprint!("\rbench: {}: round {round} of {}  ", case.name(), arguments.rounds);
            for turn in 0..subjects.len() {
                let subject =
                    subjects.get((turn + round) % subjects.len()).context("no subject")?;
                let sample = measure(subject, case, arguments.requests).await?;
                if round > 0 {
                    samples.push((case, subject.variant, subject.resources, sample));
                }
            }
        }
        eprintln!();
    }
    let report = report::report(&samples, arguments.rounds, arguments.requests);
    let output = integration_folder().join("..").join(&arguments.output);
    if let Some(parent) = output.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&output, serde_json::to_string_pretty(&report)?)?;
    report::print(&report);
    eprintln!("bench: wrote {}", arguments.output.display());
    Ok(())
}

async fn measure(subject: &Subject, case: Case, requests: usize) -> Result<Sample> {
    load::run(subject.port, subject.pid, case, requests)
        .await
        .with_context(|| format!("{} at {} resources", subject.variant.name(), subject.resources))
}
