//! The filters of one VM: one for each control plane, which the host tells by the
//! root identifier of its configurations.
//!
//! ```text
//!  callback about a configuration ─▶ its root ─▶ Root ─ Filter: map, what is held back, budget
//!                                                  └─ the configurations that the host has of it
//! ```
//!
//! The host configures a filter in a VM before it creates the filter's streams there,
//! also without a map. So a VM that was configured for one root only has streams of
//! that root only, and need not ask the host.
//!
//! The host does not tell that a configuration is gone. A callback about another one
//! can ask, and each looks at a few of all roots. A configuration lives as long as a
//! stream that began with it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use discovery_map::{Faults, NO_MAP};

use crate::evidence;
use crate::filter::{Common, Current, Filter, Phase};
use crate::host::{Action, ContextId, Host, StreamId};
use crate::metrics::{INTERVAL, Metrics, Summary};

/// How many roots each push looks at, whether they are gone. It costs more than that by itself.
const LOOKS_OF_PUSH: usize = 16;

/// How many roots each tick looks at; each control plane with requests ticks.
const LOOKS_OF_TICK: usize = 2;

/// The filters of one VM.
#[derive(Debug)]
pub struct Filters<H: Host> {
    host: H,
    metrics: OnceCell<Rc<Metrics<H::Metric>>>,
    common: OnceCell<Common>,
    roots: RefCell<Roots<H>>,
    /// For streams whose root is not known. It never has a map.
    stray: OnceCell<Rc<Filter<H>>>,
    phase: Cell<Phase>,
}

#[derive(Debug)]
struct Roots<H: Host> {
    by_id: BTreeMap<Vec<u8>, Root<H>>,
    /// The one that was looked at last.
    last: Vec<u8>,
    /// Whether the host did not tell the root of a configuration.
    has_nameless: bool,
}

#[derive(Debug)]
struct Root<H: Host> {
    filter: Rc<Filter<H>>,
    /// The configurations that the host had when it was last asked.
    contexts: Vec<ContextId>,
}

impl<H: Host + Clone> Filters<H> {
    /// Filters that have not been configured.
    pub const fn new(host: H) -> Self {
        let roots = Roots { by_id: BTreeMap::new(), last: Vec::new(), has_nameless: false };
        Self {
            host,
            metrics: OnceCell::new(),
            common: OnceCell::new(),
            roots: RefCell::new(roots),
            stray: OnceCell::new(),
            phase: Cell::new(Phase::Client),
        }
    }

    /// Takes a pushed map into use, or refuses it as a whole; then the last one
    /// stays. The result depends on the configuration's bytes alone. [`NO_MAP`] is accepted and
    /// changes nothing.
    ///
    /// # Errors
    /// What is wrong with the map.
    pub fn on_configure(&self, context: ContextId) -> Result<(), Faults> {
        let filter = self.configured(context);
        let configuration = self.host.configuration();
        if configuration == NO_MAP.as_bytes() {
            return Ok(());
        }
        let current = Current::read(&configuration, self.common())?;
        if let Some(filter) = filter {
            filter.replace_map(current);
            self.show();
            filter.ask_for_tick();
        }
        Ok(())
    }

    /// Judges attempts at servers from now on, and nothing else.
    pub fn judge_attempts(&self, context: ContextId) {
        self.phase.set(Phase::Attempt);
        let filters = [self.configured(context), self.stray.get().map(Rc::clone)];
        filters.into_iter().flatten().for_each(|filter| filter.phase.set(Phase::Attempt));
    }

    /// Tells the host what was counted since the last time.
    pub fn on_tick(&self, context: ContextId) {
        self.metrics().publish(&self.host);
        let root_id = self.host.root_id();
        self.forget_gone(context, root_id.as_deref(), LOOKS_OF_TICK);
        let roots = self.roots.borrow();
        if let Some(root) = root_id.and_then(|id| roots.by_id.get(&*id)) {
            // The next request asks for the next tick.
            root.filter.is_tick_due.set(false);
            self.host.stop_ticks(context, context);
        }
    }

    /// Decides where the request goes, and what of its response matters.
    pub fn on_request_headers(&self, stream: StreamId) -> Action {
        self.of_stream().on_request_headers(stream)
    }

    /// Removes a client's identity headers from the request's trailers. `count` is
    /// the number of trailers.
    pub fn on_request_trailers(&self, stream: StreamId, count: usize) -> Action {
        self.of_stream().on_request_trailers(stream, count)
    }

    /// Holds back a 404 that could be wrong, and replaces a server's discovery
    /// document by the merged one; everything else passes.
    pub fn on_response_headers(&self, stream: StreamId, end_of_stream: bool) -> Action {
        self.of_stream().on_response_headers(stream, end_of_stream)
    }

    /// Judges a 404 that was held back, or answers with the merged document, once there is enough
    /// of the body.
    pub fn on_response_body(&self, stream: StreamId, end_of_stream: bool) -> Action {
        self.of_stream().on_response_body(stream, end_of_stream)
    }

    /// Does the same when trailers end a response. The host has nothing more of a document's body.
    pub fn on_response_trailers(&self, stream: StreamId) -> Action {
        self.of_stream().on_response_trailers(stream)
    }

    /// The metrics, which are defined when first used.
    fn metrics(&self) -> &Rc<Metrics<H::Metric>> {
        self.metrics.get_or_init(|| Rc::new(Metrics::define(&self.host)))
    }

    fn common(&self) -> &Common {
        self.common.get_or_init(Common::default)
    }

    /// Returns the filter of the stream at hand.
    fn of_stream(&self) -> Rc<Filter<H>> {
        let known = self.roots.borrow().of_stream(&self.host);
        known.unwrap_or_else(|| Rc::clone(self.stray.get_or_init(|| self.filter(None))))
    }

    fn filter(&self, evidence: Option<Vec<u8>>) -> Rc<Filter<H>> {
        let (host, metrics) = (self.host.clone(), Rc::clone(self.metrics()));
        Rc::new(Filter::new(host, metrics, self.common(), self.phase.get(), evidence))
    }

    /// Takes note of a new configuration. Returns the filter of its root, which begins anew if the
    /// host has dropped all configurations before. `None` if the host does not tell the root.
    fn configured(&self, context: ContextId) -> Option<Rc<Filter<H>>> {
        let root_id = self.host.root_id();
        self.forget_gone(context, root_id.as_deref(), LOOKS_OF_PUSH);
        let mut roots = self.roots.borrow_mut();
        let Some(id) = root_id else {
            roots.has_nameless = true;
            return None;
        };
        roots.forget_if_gone(&id, &self.host, context);
        let root = || Root { filter: self.filter(Some(evidence::key(&id))), contexts: Vec::new() };
        let root = roots.by_id.entry(id.clone()).or_insert_with(root);
        if root.filter.is_tick_due.get() {
            // The host would lose those of a configuration that it drops, but not the timer.
            root.contexts.iter().for_each(|older| self.host.stop_ticks(*older, context));
            self.host.tick_every(INTERVAL);
        }
        root.contexts.push(context);
        Some(Rc::clone(&root.filter))
    }

    /// Looks at some roots other than the one at hand, and forgets those that the host has dropped.
    fn forget_gone(&self, own: ContextId, root_id: Option<&[u8]>, looks: usize) {
        let mut roots = self.roots.borrow_mut();
        let mut is_any_gone = false;
        for _ in 0..looks.min(roots.by_id.len()) {
            let Some(id) = roots.next() else { break };
            roots.last.clone_from(&id);
            if root_id != Some(&*id) {
                is_any_gone |= roots.forget_if_gone(&id, &self.host, own);
            }
        }
        drop(roots);
        if is_any_gone {
            self.show();
        }
    }

    /// Shows the maps in use in the gauges.
    fn show(&self) {
        let roots = self.roots.borrow();
        let summary = |root: &Root<H>| root.filter.current.borrow().as_ref().map(|own| own.summary);
        let summaries = roots.by_id.values().filter_map(summary);
        let all = summaries.reduce(Summary::with).unwrap_or_default();
        self.metrics().show(&self.host, all);
    }
}

impl<H: Host> Roots<H> {
    /// Returns the filter of the stream at hand. `None` if its root is not known.
    fn of_stream(&self, host: &H) -> Option<Rc<Filter<H>>> {
        let mut all = self.by_id.values();
        let root = match (all.next(), all.next()) {
            (Some(only), None) if !self.has_nameless => only,
            _ => self.by_id.get(&*host.root_id()?)?,
        };
        Some(Rc::clone(&root.filter))
    }

    /// Forgets a root if the host has dropped all its configurations. Returns whether it did.
    fn forget_if_gone(&mut self, id: &[u8], host: &H, own: ContextId) -> bool {
        let Some(root) = self.by_id.get_mut(id) else { return false };
        root.ask(host, own);
        let is_gone = root.contexts.is_empty();
        if is_gone {
            root.filter.retire();
            self.by_id.remove(id);
        }
        is_gone
    }

    /// Returns the root after the one that was looked at last.
    fn next(&self) -> Option<Vec<u8>> {
        let after = (Bound::Excluded(&*self.last), Bound::Unbounded);
        let mut ids = self.by_id.range::<[u8], _>(after).chain(&self.by_id);
        ids.next().map(|(id, _)| id.clone())
    }
}

impl<H: Host> Root<H> {
    /// Asks the host which configurations it still has.
    fn ask(&mut self, host: &H, own: ContextId) {
        self.contexts.retain(|context| !host.is_gone(*context, own));
    }
}
