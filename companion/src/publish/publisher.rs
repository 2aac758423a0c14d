//! Carries out plans: saves the state, then applies each step. Synchronous; `publish/task.rs` says
//! when.

use std::sync::Arc;
use std::time::Duration;

use discovery_map::MapDocument;

use super::error::PublishError;
use super::plan::{Plan, Planner};
use super::sink::Sink;
use crate::clock::since_1970;
use crate::index::Snapshot;
use crate::secrets::Settings;
use crate::state::{State, StateError, Store};

#[cfg(test)]
mod tests;

/// The map that was published last.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The map, with its generation.
    pub map: Arc<MapDocument>,
    /// How many targets some peers serve and others do not.
    pub skewed_targets: usize,
    /// When it was published, since 1970.
    pub at: Duration,
}

pub struct Publisher<S> {
    planner: Planner,
    store: Store,
    saved: State,
    sink: S,
}

impl<S: Sink> Publisher<S> {
    /// Goes on from what an earlier run left: generations go on from its last, and clusters stay a
    /// while, for Envoy's map may name them.
    pub fn new(settings: &Settings, store: Store, state: &State, sink: S) -> Self {
        let generation = state.generation.or_else(first_generation);
        let planner = Planner::new(settings.clone(), State { generation, ..state.clone() });
        Self { planner, store, saved: state.clone(), sink }
    }

    pub fn configure(&mut self, settings: &Settings) {
        self.planner.configure(settings);
    }

    /// Publishes what the listener and fixed clusters need. That waits for no snapshot.
    pub fn write_listener(&mut self) -> Result<(), PublishError> {
        let step = self.planner.at_start(&self.sink.inventory());
        self.sink.apply(&step)?;
        self.sink.finish()
    }

    /// Publishes what Envoy needs to start before there is a map. What an earlier run published
    /// stays: it is better.
    pub fn write_first(&mut self) -> Result<(), PublishError> {
        for step in self.planner.first() {
            if !self.sink.has(&step) {
                self.sink.apply(&step)?;
            }
        }
        self.sink.finish()
    }

    /// Publishes what differs from what is published. Returns the map if it is new.
    ///
    /// # Errors
    /// The map is invalid, or the state or the sink failed: the next call goes on from there.
    pub fn push(&mut self, snapshot: &Snapshot) -> Result<Option<Publication>, PublishError> {
        let Some(plan) = self.planner.plan(snapshot, &self.sink.inventory())? else {
            self.remember()?;
            return Ok(None);
        };
        let published = self.carry_out(plan)?;
        if published.is_none() {
            let generation = self.planner.state().generation;
            tracing::info!(generation, "published clusters with new certificates");
        }
        Ok(published)
    }

    /// Publishes everything again, under a new generation.
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
    pub fn expire(&mut self, passed: Duration) -> Result<(), PublishError> {
        self.planner.pass(passed).map_or(Ok(None), |plan| self.carry_out(plan))?;
        Ok(())
    }

    /// Saves the state before the first step, for no generation may be used twice, and after the
    /// last one, for then Envoy has something else. A companion that is killed in between goes on
    /// from what Envoy had before.
    fn carry_out(&mut self, plan: Plan) -> Result<Option<Publication>, PublishError> {
        self.remember()?;
        plan.steps.iter().try_for_each(|step| self.sink.apply(step))?;
        self.sink.finish()?;
        let publication = plan.map.as_ref().map(|map| Publication {
            map: Arc::clone(&map.document),
            skewed_targets: map.skewed_targets,
            at: since_1970(),
        });
        self.planner.finished(plan);
        // What is not remembered is published again.
        self.remember().inspect_err(|_| self.planner.invalidate())?;
        Ok(publication)
    }

    fn remember(&mut self) -> Result<(), StateError> {
        if *self.planner.state() != self.saved {
            self.store.save(self.planner.state())?;
            self.saved.clone_from(self.planner.state());
        } else {
            self.store.confirm();
        }
        Ok(())
    }
}

/// Returns where generations begin when the state is lost: milliseconds since 1970. Envoys may hold
/// a map of an earlier run, and no run pushes a thousand times a second.
fn first_generation() -> Option<u64> {
    u64::try_from(since_1970().as_millis()).ok()
}
