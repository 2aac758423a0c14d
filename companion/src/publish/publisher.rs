//! Carries out what is planned: the state first, then each step. Synchronous; `publish/task.rs` says
//! when.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use discovery_map::MapDocument;

use super::error::PublishError;
use super::plan::{Plan, Planner};
use super::sink::Sink;
use crate::index::{Memory, Snapshot};
use crate::secrets::Settings;
use crate::state::{State, StateError, Store};
use crate::xds;

#[cfg(test)]
mod tests;

/// The map that was published last.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The map, with its generation.
    pub document: Arc<MapDocument>,
    /// How many targets some peers serve and others do not.
    pub skewed_targets: usize,
    /// When it was published.
    pub at: SystemTime,
}

/// Publishes snapshots through a sink.
pub struct Publisher<S> {
    planner: Planner,
    memory: Memory,
    store: Store,
    saved: State,
    sink: S,
}

impl<S: Sink> Publisher<S> {
    /// Goes on from what an earlier run left: generations go on from its last, and clusters stay a
    /// while, for Envoy's map may name them.
    pub fn new(settings: &Settings, store: Store, state: &State, sink: S) -> Self {
        let generation = state.generation.unwrap_or_else(first_generation);
        let published = state.published.clone();
        Self {
            planner: Planner::new(settings.clone(), generation, published, sink.inventory()),
            memory: state.memory.clone(),
            store,
            saved: state.clone(),
            sink,
        }
    }

    /// Takes another configuration or other secrets. What they change is in the next push.
    pub fn configure(&mut self, settings: &Settings) {
        self.planner.configure(settings);
    }

    /// Publishes what the listener needs. That waits for no snapshot.
    ///
    /// # Errors
    /// The sink failed.
    pub fn write_listener(&mut self) -> Result<(), PublishError> {
        let told = self.sink.inventory().secrets.contains(xds::CLIENT_CA);
        self.sink.apply(&self.planner.listener(told))
    }

    /// Publishes what differs from what is published. Returns the map if it is new.
    ///
    /// # Errors
    /// The map is invalid, or the state or the sink failed: the next call goes on from there.
    pub fn push(&mut self, snapshot: &Snapshot) -> Result<Option<Publication>, PublishError> {
        let plan = self.planner.plan(snapshot)?;
        self.memory.clone_from(&snapshot.memory);
        let Some(plan) = plan else {
            self.remember()?;
            return Ok(None);
        };
        let published = self.carry_out(plan)?;
        if published.is_none() {
            let generation = self.planner.generation();
            tracing::info!(generation, "clusters published with other certificates");
        }
        Ok(published)
    }

    /// Publishes everything again, under a new generation.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn push_again(&mut self, snapshot: &Snapshot) -> Result<Option<Publication>, PublishError> {
        self.write_listener()?;
        self.planner.invalidate();
        self.push(snapshot)
    }

    /// Returns what others changed since it was published.
    pub fn damaged(&mut self) -> Vec<String> {
        self.sink.take_damaged()
    }

    /// Lets time pass for the clusters and secrets that are retired, and removes those that have
    /// expired.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn expire(&mut self, passed: Duration) -> Result<(), PublishError> {
        self.planner.pass(passed).map_or(Ok(None), |plan| self.carry_out(plan))?;
        Ok(())
    }

    /// The state is saved before the first step, for the generation must never be used again, and
    /// after the last one, for what Envoy has is another then. A companion that is killed in between
    /// goes on from what Envoy had before.
    fn carry_out(&mut self, plan: Plan) -> Result<Option<Publication>, PublishError> {
        self.remember()?;
        for step in &plan.steps {
            self.sink.apply(step)?;
            self.planner.applied(step);
        }
        self.remember()?;
        let Some(map) = plan.map else { return Ok(None) };
        let publication = Publication {
            document: Arc::clone(&map.document),
            skewed_targets: map.skewed_targets,
            at: SystemTime::now(),
        };
        self.planner.finished(map);
        Ok(Some(publication))
    }

    fn remember(&mut self) -> Result<(), StateError> {
        let state = State {
            generation: Some(self.planner.generation()),
            memory: self.memory.clone(),
            published: self.planner.published().clone(),
        };
        if state != self.saved {
            self.store.save(&state)?;
            self.saved = state;
        }
        Ok(())
    }
}

/// Returns where generations begin when the state is lost: milliseconds since 1970. Envoys may hold
/// a map of an earlier run, and no run pushes a thousand times a second.
fn first_generation() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or_default()
}
