//! Looks at what each Envoy has, again and again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::envoy::Envoy;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::group;

/// A look at all Envoys, from time to time.
pub struct Watch {
    task: JoinHandle<Result<usize>>,
    /// The round of the last change.
    round: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub fn start(envoys: &Arc<Vec<Envoy>>) -> Self {
        let (round, stop) = (Arc::default(), Arc::default());
        let task = keep_looking(Arc::clone(envoys), Arc::clone(&round), Arc::clone(&stop));
        Self { task: tokio::spawn(task), round, stop }
    }

    /// Takes note that something changes now, after every Envoy had everything.
    pub fn begin_round(&self, round: usize) {
        self.round.store(round, Ordering::SeqCst);
    }

    /// Returns how often an Envoy was looked at. Fails if one had what it must not have.
    pub async fn stop(self) -> Result<usize> {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await?
    }
}

async fn keep_looking(
    envoys: Arc<Vec<Envoy>>,
    current: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Result<usize> {
    let mut looks = 0;
    while !stop.load(Ordering::SeqCst) {
        for envoy in envoys.iter() {
            let round = current.load(Ordering::SeqCst);
            let dump = envoy.config_dump().await?;
            let map = named_clusters_are_there(&dump)?;
            // If a round began meanwhile, the dump may be from before or after that.
            if let (Some(before), true) =
                (round.checked_sub(1), round == current.load(Ordering::SeqCst))
            {
                let group = group(before);
                ensure!(map["groups"].get(&group).is_some(), "no {group} in round {round}");
            }
            looks += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(looks)
}

/// Returns the map of an Envoy, which shows the map and the clusters of one moment. Fails if the map
/// names a cluster that is not there.
fn named_clusters_are_there(dump: &Value) -> Result<Value> {
    let configs = dump["configs"].as_array().context("no dump")?;
    let section = |kind: &str, list: &str| {
        let mut of_kind = configs
            .iter()
            .filter(|config| config["@type"].as_str().is_some_and(|name| name.ends_with(kind)));
        of_kind.find_map(|section| section[list].as_array()).map_or(&[] as &[_], Vec::as_slice)
    };
    let clusters = section(".ClustersConfigDump", "dynamic_active_clusters");
    let clusters: BTreeSet<_> =
        clusters.iter().filter_map(|entry| entry["cluster"]["name"].as_str()).collect();
    let filters = section(".EcdsConfigDump", "ecds_filters");
    let map = filters.iter().find_map(text_of_map).context("no map")?;
    let map: Value = serde_json::from_str(map)?;
    let sets = map["sets"].as_array().context("no sets")?;
    let sets = sets.iter().filter_map(|set| set["cluster"].as_str());
    let default = map["defaultCluster"].as_str().context("no default cluster")?;
    let rotation = format!("{default}__rotation");
    let named: BTreeSet<_> = sets.chain([default, &rotation]).collect();
    ensure!(named.len() > 2, "the map names {named:?}");
    for name in named.iter().flat_map(|name| [(*name).to_owned(), format!("{name}__front-proxy")]) {
        ensure!(clusters.contains(name.as_str()), "no {name} among {clusters:?}");
    }
    Ok(map)
}

/// Returns the first text that is a map.
fn text_of_map(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => text.contains("\"generation\":").then_some(text.as_str()),
        Value::Array(entries) => entries.iter().find_map(text_of_map),
        Value::Object(fields) => fields.values().find_map(text_of_map),
        _ => None,
    }
}
