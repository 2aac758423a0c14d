//! One whole run: all specs through Envoy, then those that failed directly.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::pair::Pair;
use crate::selection::{Selection, exactly};
use crate::spec::Outcome;
use crate::suite::Suite;
use crate::summary::{Failure, Summary};

/// Which specs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// All that `selection.yaml` selects.
    Whole,
    /// The specs under `short`, which read discovery in every form.
    Short,
    /// The selected specs that match one of these expressions.
    Only(Vec<String>),
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The versions.
    pub pair: Pair,
    /// The specs.
    pub form: Form,
    /// How many specs run at a time.
    pub processes: usize,
    /// Where reports and logs go.
    pub folder: PathBuf,
}

/// Starts a cluster, runs the specs through Envoy, and those that failed once
/// more directly. Fails if anything cannot be started or leaves no report; a
/// spec that fails is in the summary.
pub async fn run(options: &Options) -> Result<Summary> {
    let selection = Selection::read()?;
    let started = Instant::now();
    let mut cluster = Cluster::start(options.pair).await?;
    let (focus, skip) = expressions(&selection, options);
    let through = suite(options, &cluster, "envoy", &cluster.envoy(), focus, skip)?;
    let specs = through.run().await?;
    cluster.ensure_running()?;
    let failed: Vec<_> = specs.iter().filter(|spec| spec.outcome == Outcome::Failed).collect();
    let mut directly = BTreeMap::new();
    if !failed.is_empty() {
        let newer = cluster.newer()?;
        cluster.connect(&newer).await?;
        let focus = failed.iter().map(|spec| exactly(&spec.name)).collect();
        let again = suite(options, &cluster, "directly", &newer, focus, Vec::new())?;
        let specs = again.run().await?;
        cluster.ensure_running()?;
        directly = specs.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
    }
    let failures = failed.into_iter().map(|spec| Failure {
        name: spec.name.clone(),
        message: spec.message.clone(),
        directly: directly.get(&spec.name).map_or(Outcome::LeftOut, |spec| spec.outcome),
    });
    let failures = failures.collect();
    Ok(Summary::new(options.pair, &specs, failures, started.elapsed()))
}

/// Returns which specs run and which do not.
fn expressions(selection: &Selection, options: &Options) -> (Vec<String>, Vec<String>) {
    let skips = || selection.skips(options.pair.older);
    match &options.form {
        Form::Whole => (selection.run.clone(), skips()),
        Form::Short => (selection.short.clone(), Vec::new()),
        Form::Only(focus) => (focus.clone(), skips()),
    }
}

fn suite(
    options: &Options,
    cluster: &Cluster,
    target: &str,
    url: &str,
    focus: Vec<String>,
    skip: Vec<String>,
) -> Result<Suite> {
    Ok(Suite {
        version: options.pair.newer,
        target: target.to_owned(),
        kubeconfig: cluster.kubeconfig(url)?,
        focus,
        skip,
        processes: options.processes,
        folder: options.folder.join(target),
    })
}
