//! The listener of many control planes: one chain for each, made from the template.
//!
//! No Envoy gets a listener before every control plane that it gets, of those of the start, has a map,
//! or had the time to get one: if it comes from another companion, it would lose the chains that are
//! missing. A control plane that comes later enters the listener in the same way. Without a chain,
//! nothing of it would let an Envoy that knows it from another companion have any other listener.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use discovery_map::NO_MAP;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::progress::Progress;
use super::template::TemplateFile;
use crate::ads::{Chain, Listener, Snapshot, Snapshots};
use crate::config::{ClusterPrefix, Config, ControlPlaneDirectory, MainConfig};
use crate::directory::Known;
use crate::program::{ProgramError, failed};
use crate::xds::{EncodeError, FilterConfig, ListenerTemplate, Module};

/// The time in which changes of several control planes are collected.
const SETTLE: Duration = Duration::from_millis(200);

/// How often the template is read.
const CHECK: Duration = Duration::from_secs(1);

pub(super) struct ListenerTask {
    template: TemplateFile,
    known: watch::Receiver<Arc<Known>>,
    snapshots: Snapshots,
    progress: watch::Receiver<BTreeMap<ClusterPrefix, bool>>,
    /// The chains of the present listener, with what they were made from. `None` if one cannot be
    /// made.
    chains: BTreeMap<ClusterPrefix, (Arc<Config>, Option<Chain>)>,
    /// The control planes of the start that neither have a map nor had the time to get one. `None`
    /// before it is known which there are.
    starting: Option<BTreeSet<ClusterPrefix>>,
    ready: watch::Sender<bool>,
}

impl ListenerTask {
    /// Returns a task that has read the template.
    pub(super) fn new(
        directory: &ControlPlaneDirectory,
        (known, snapshots): (watch::Receiver<Arc<Known>>, Snapshots),
        progress: &Progress,
    ) -> Result<Self, ProgramError> {
        let template = TemplateFile::open(&directory.listener_template);
        let template = template.map_err(failed("configuration:\n"))?;
        let (chains, ready) = (BTreeMap::new(), watch::Sender::new(false));
        let progress = progress.subscribe();
        Ok(Self { template, known, snapshots, progress, chains, starting: None, ready })
    }

    /// Returns whether there is a listener for all Envoys.
    pub(super) fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Runs until nobody follows the directory.
    pub(super) async fn run(mut self, mains: watch::Receiver<Arc<MainConfig>>) {
        let mut snapshots = self.snapshots.subscribe();
        let mut check = tokio::time::interval(CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changed = tokio::select! {
                changed = self.known.changed() => changed,
                changed = self.progress.changed() => changed,
                changed = snapshots.changed() => changed,
                _ = check.tick() => {
                    self.look(&mains);
                    Ok(())
                }
            };
            if changed.is_err() {
                return;
            }
            tokio::time::sleep(SETTLE).await;
            let snapshot = snapshots.borrow_and_update().clone();
            tokio::task::block_in_place(|| self.update(&snapshot));
        }
    }

    /// Reads the template. What was made from another one is made again.
    fn look(&mut self, mains: &watch::Receiver<Arc<MainConfig>>) {
        let path = mains.borrow().many().map(|directory| directory.listener_template.clone());
        if path.is_some_and(|path| self.template.look(&path)) {
            self.chains.clear();
        }
    }

    /// Replaces the listener if its chains changed, and removes the parts of removed control planes.
    fn update(&mut self, snapshot: &Snapshot) {
        let known = self.known.borrow_and_update().clone();
        let progress = self.progress.borrow_and_update().clone();
        let settled = |name: &ClusterPrefix| progress.get(name).copied().unwrap_or_default();
        let Some(has_settled) = self.settle(&known, settled) else { return };
        let enters =
            |name: &ClusterPrefix| snapshot.parts.contains_key(name.as_str()) || settled(name);
        let wanted: BTreeMap<_, _> =
            known.configs.iter().filter(|(name, _)| enters(name)).collect();
        let same = |(name, config): (&&ClusterPrefix, &&Arc<Config>)| {
            self.chains.get(*name).is_some_and(|(made_from, _)| is_same(made_from, config))
        };
        let is_new = wanted.len() != self.chains.len() || !wanted.iter().all(same);
        if is_new || has_settled {
            self.listen(&wanted);
        }
        let names = known.names();
        let parts = snapshot.parts.keys().chain(&snapshot.awaited);
        for part in parts.filter(|part| !names.contains(part.as_str())) {
            // Its tasks could publish it again.
            if !progress.contains_key(part.as_str()) {
                self.snapshots.remove(part);
            }
        }
    }

    /// Takes note of the control planes of the start that have settled. Returns whether one has, or this
    /// is the start. `None` before the start.
    fn settle(&mut self, known: &Known, settled: impl Fn(&ClusterPrefix) -> bool) -> Option<bool> {
        let is_start = self.starting.is_none();
        // A directory that was empty at the start says nothing of what Envoys shall lose.
        if is_start && known.configs.is_empty() {
            return None;
        }
        let all = || known.configs.keys().cloned().collect();
        let starting = self.starting.get_or_insert_with(all);
        let before = starting.len();
        starting.retain(|name| known.configs.contains_key(name) && !settled(name));
        Some(is_start || starting.len() < before)
    }

    fn listen(&mut self, wanted: &BTreeMap<&ClusterPrefix, &Arc<Config>>) {
        let template = self.template.template();
        let mut chains = BTreeMap::new();
        for (&name, &config) in wanted {
            let last = self.chains.remove(name);
            let chain = match last.filter(|(made_from, _)| is_same(made_from, config)) {
                Some((_, chain)) => chain,
                None => chain(template, name, config),
            };
            chains.insert(name.clone(), (Arc::clone(config), chain));
        }
        self.chains = chains;
        let chains = self.chains.iter();
        let made = chains.filter_map(|(name, (_, chain))| Some((name.to_string(), chain.clone()?)));
        let listener = Listener {
            name: template.name().to_owned(),
            base: template.base().clone(),
            chains: made.collect(),
        };
        let starting: BTreeSet<_> =
            self.starting.iter().flatten().map(ToString::to_string).collect();
        let (chains, is_complete) = (listener.chains.len(), starting.is_empty());
        if is_complete {
            tracing::info!(chains, "listener published");
        } else {
            tracing::debug!(
                chains,
                starting = starting.len(),
                "listener published without the control planes that are still starting"
            );
        }
        // Envoy refuses a listener without chains.
        let listener = Some(listener).filter(|listener| !listener.chains.is_empty());
        self.snapshots.listen(listener, starting);
        if is_complete {
            self.ready.send_replace(true);
        }
    }
}

/// Returns whether the two configurations give the same chain.
fn is_same(one: &Arc<Config>, other: &Arc<Config>) -> bool {
    let module = |config: &Arc<Config>| Module::from(&**config);
    Arc::ptr_eq(one, other)
        || (one.server_names == other.server_names && module(one) == module(other))
}

/// Returns the filter chain of a control plane. The log says once if it cannot be made.
fn chain(template: &ListenerTemplate, name: &ClusterPrefix, config: &Config) -> Option<Chain> {
    let make = || {
        let names = config.server_names.as_deref().unwrap_or_default();
        let without_map = FilterConfig { map: NO_MAP.to_owned(), module: Module::from(config) };
        let connections = template.connections(name.as_str(), &without_map)?;
        Ok(Chain { chain: template.chain(name.as_str(), names)?, connections: Some(connections) })
    };
    let log = |error: &EncodeError| {
        tracing::error!(control_plane = %name, %error, "cannot make the filter chain");
    };
    make().inspect_err(log).ok()
}

#[cfg(test)]
mod tests;
