//! `make bench`: the cost of the filter, compared with a plain Envoy, with
//! Envoy's Lua filter doing the same lookup, with the filter in a VM that serves
//! several control planes, and with another build of the filter if one is given.
//!
//! ```text
//!   load (this process, 4 connections)
//!     └─▶ Envoy × {plain, Lua, baseline, filter, shared} × {100, 5000 resources}
//!           └─▶ upstream (this process)
//! ```
//!
//! All Envoys run at the same time, each with one worker. A round measures each
//! of them for a moment, in an order that rotates. Differences are taken within
//! a round, and a figure is the median over the rounds. CPU is the time that
//! Envoy's threads ran according to the kernel (schedstat, in nanoseconds), so
//! other busy processes disturb it little; they do disturb latency.

mod bootstrap;
mod load;
mod report;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use harness::artifacts::{Artifact, integration_folder};
use harness::envoy::{Envoy, EnvoyOptions};

use bootstrap::{Case, SIZES, Setup, Variant};
use load::Sample;

#[derive(Debug, Parser)]
#[command(about = "Measures Envoy's CPU and latency per request with several filters")]
struct Arguments {
    /// The number of rounds; figures are medians over them.
    #[arg(long, default_value_t = 120)]
    rounds: usize,
    /// The requests of each measurement. They are few so that a disturbance of
    /// the machine meets all variants of a round.
    #[arg(long, default_value_t = 400)]
    requests: usize,
    /// Another build of the filter to compare with.
    #[arg(long, value_name = "FILTER.WASM")]
    baseline: Option<PathBuf>,
    /// The file of the report, relative to the checkout.
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
    let setup = Setup {
        upstream: load::upstream().await?,
        filter: Artifact::Filter.path()?,
        baseline: arguments.baseline.as_deref().map(fs::canonicalize).transpose()?,
    };
    let mut subjects = Vec::new();
    for variant in setup.variants() {
        for resources in SIZES {
            eprintln!("bench: starting Envoy: {}, {resources} resources", variant.name());
            let bootstrap = bootstrap::bootstrap(&setup, variant, resources)?;
            let place = folder.path().join(format!("{}-{resources}", variant.name()));
            let envoy = Envoy::start(EnvoyOptions::new(bootstrap, place).concurrency(1)).await?;
            let (port, pid) = (envoy.listener_port("bench").await?, envoy.pid()?);
            subjects.push(Subject { variant, resources, port, pid, _envoy: envoy });
        }
    }

    let mut samples = Vec::new();
    for case in Case::ALL {
        // The first round warms up caches, pools and V8's tiers.
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
    let report = report::report(&samples, &setup.variants(), arguments.rounds, arguments.requests);
    let output = integration_folder().join("..").join(&arguments.output);
    if let Some(parent) = output.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&output, serde_json::to_string_pretty(&report)?)?;
    report::print(&report, &setup.variants());
    eprintln!("bench: wrote {}", arguments.output.display());
    Ok(())
}

async fn measure(subject: &Subject, case: Case, requests: usize) -> Result<Sample> {
    load::run(subject.port, subject.pid, case, requests)
        .await
        .with_context(|| format!("{} at {} resources", subject.variant.name(), subject.resources))
}
