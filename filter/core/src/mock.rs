//! A host that tests script: streams are what a test puts there, any call can
//! be made to fail, and every call is recorded.
//!
//! ```text
//!  test ─▶ MockProxy ─ callbacks ─▶ Filter ─ calls ─▶ MockHost ─▶ Stream, metrics
//! ```

mod proxy;
mod stream;

use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::headers::{Headers, serialize};
use crate::host::{ClientCertificate, ContextId, HeaderMap, Host, Shared, StreamId};

pub use proxy::{GOLDEN, MockProxy};
pub use stream::{Fields, Reply, Stream, fields};

/// The calls of [`Host`], without their arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`Host::configuration`].
    Configuration,
    /// [`Host::root_id`].
    RootId,
    /// [`Host::is_gone`].
    IsGone,
    /// [`Host::tick_every`].
    TickEvery,
    /// [`Host::stop_ticks`].
    StopTicks,
    /// [`Host::headers`].
    Headers,
    /// [`Host::replace_headers`].
    ReplaceHeaders,
    /// [`Host::set_cluster_header`].
    SetClusterHeader,
    /// [`Host::client_certificate`].
    ClientCertificate,
    /// [`Host::set_filter_state`].
    SetFilterState,
    /// [`Host::filter_state`].
    FilterState,
    /// [`Host::response_header`].
    ResponseHeader,
    /// [`Host::is_from_server`].
    IsFromServer,
    /// [`Host::response_body`].
    ResponseBody,
    /// [`Host::respond`].
    Respond,
    /// [`Host::server_address`].
    ServerAddress,
    /// [`Host::cluster`].
    Cluster,
    /// [`Host::ask_again`].
    AskAgain,
    /// [`Host::remove_mark`].
    RemoveMark,
    /// [`Host::share`].
    Share,
    /// [`Host::shared`].
    Shared,
    /// [`Host::now`].
    Now,
    /// [`Host::warn`].
    Warn,
    /// [`Host::counter`] and [`Host::gauge`].
    DefineMetric,
    /// [`Host::add`].
    Add,
    /// [`Host::record`].
    Record,
}

/// What the host knows, and what it was asked to do.
#[derive(Debug, Default)]
pub struct State {
    /// The configuration that `on_configure` reads.
    pub configuration: Vec<u8>,
    /// The root identifier of each configuration that there is.
    pub contexts: BTreeMap<ContextId, Vec<u8>>,
    /// The number of the last configuration.
    pub last_context: u32,
    /// The configuration that calls are about, also the stream's; `None` before the first.
    pub context: Option<ContextId>,
    /// The stream that calls are about; `None` before the first.
    pub current: Option<StreamId>,
    /// Every stream, by its number.
    pub streams: BTreeMap<StreamId, Stream>,
    /// The calls that fail.
    pub failing: BTreeSet<Call>,
    /// Every call so far.
    pub calls: Vec<Call>,
    /// What VMs told each other by key, in this order.
    pub shared: BTreeMap<Vec<u8>, Vec<Shared>>,
    /// What another VM is about to tell, sooner than this one.
    pub sooner: Option<Shared>,
    /// The time.
    pub now: Duration,
    /// The lines of the log.
    pub log: Vec<String>,
    /// Metrics by name; the number is the position.
    pub metrics: Vec<(String, u64)>,
    /// How often `on_tick` is called about a configuration.
    pub ticks: BTreeMap<ContextId, Duration>,
}

/// A host that tests script.
#[derive(Debug, Default)]
pub struct MockHost(RefCell<State>);

impl MockHost {
    /// What the host knows, and what it was asked to do.
    pub fn state(&self) -> Ref<'_, State> {
        self.0.borrow()
    }

    /// Changes what the host knows.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.borrow_mut());
    }

    /// Records a call. Returns whether it succeeds.
    fn call(&self, call: Call) -> bool {
        let mut state = self.0.borrow_mut();
        state.calls.push(call);
        !state.failing.contains(&call)
    }

    /// Reads from the stream at hand, if the call succeeds and there is one.
    fn read<T>(&self, call: Call, read: impl FnOnce(&Stream) -> Option<T>) -> Option<T> {
        if !self.call(call) {
            return None;
        }
        let state = self.0.borrow();
        read(state.streams.get(&state.current?)?)
    }

    /// Changes the stream at hand, if the call succeeds and there is one.
    fn write(&self, call: Call, write: impl FnOnce(&mut Stream)) -> bool {
        if !self.call(call) {
            return false;
        }
        let mut state = self.0.borrow_mut();
        let stream = state.current.and_then(|current| state.streams.get_mut(&current));
        stream.map(write).is_some()
    }

    fn metric(&self, name: &str) -> Option<usize> {
        if !self.call(Call::DefineMetric) {
            return None;
        }
        let mut state = self.0.borrow_mut();
        state.metrics.push((name.to_owned(), 0));
        state.metrics.len().checked_sub(1)
    }

    fn change_metric(&self, call: Call, metric: usize, change: impl FnOnce(&mut u64)) {
        if self.call(call)
            && let Some((_, value)) = self.0.borrow_mut().metrics.get_mut(metric)
        {
            change(value);
        }
    }
}

impl Host for Rc<MockHost> {
    type Metric = usize;

    fn configuration(&self) -> Vec<u8> {
        if self.call(Call::Configuration) { self.state().configuration.clone() } else { Vec::new() }
    }

    fn root_id(&self) -> Option<Vec<u8>> {
        if !self.call(Call::RootId) {
            return None;
        }
        let state = self.state();
        state.contexts.get(&state.context?).cloned()
    }

    fn is_gone(&self, other: ContextId, own: ContextId) -> bool {
        assert_eq!(self.state().context, Some(own));
        self.call(Call::IsGone) && !self.state().contexts.contains_key(&other)
    }

    fn tick_every(&self, period: Duration) {
        if self.call(Call::TickEvery) {
            self.change(|state| state.ticks.extend(state.context.map(|context| (context, period))));
        }
    }

    fn stop_ticks(&self, of: ContextId, own: ContextId) {
        assert_eq!(self.state().context, Some(own));
        if self.call(Call::StopTicks) {
            self.change(|state| {
                state.ticks.remove(&of);
            });
        }
    }

    fn headers(&self, map: HeaderMap) -> Headers {
        let bytes = self.read(Call::Headers, |stream| {
            let fields = stream.map(map).iter();
            let fields: Vec<_> = fields.map(|(name, value)| (&**name, &**value)).collect();
            Some(serialize(&fields))
        });
        Headers::new(bytes.unwrap_or_default())
    }

    fn replace_headers(&self, map: HeaderMap, headers: &[(&[u8], &[u8])]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        self.write(Call::ReplaceHeaders, |stream| *stream.map_mut(map) = headers)
    }

    fn set_cluster_header(&self, cluster: &str) -> bool {
        let field = (discovery_map::CLUSTER_HEADER.into(), cluster.into());
        self.write(Call::SetClusterHeader, |stream| stream.request.push(field))
    }

    fn client_certificate(&self) -> ClientCertificate {
        let read = self.read(Call::ClientCertificate, |stream| {
            let certificate = stream.certificate.clone();
            Some(certificate.map_or(ClientCertificate::None, ClientCertificate::Verified))
        });
        read.unwrap_or(ClientCertificate::Unreadable)
    }

    fn set_filter_state(&self, key: &str, value: &[u8]) -> bool {
        self.write(Call::SetFilterState, |stream| {
            stream.filter_state.insert(key.to_owned(), value.to_vec());
        })
    }

    fn filter_state(&self, key: &str) -> Option<Vec<u8>> {
        self.read(Call::FilterState, |stream| stream.filter_state.get(key).cloned())
    }

    fn server_address(&self) -> Option<Vec<u8>> {
        self.read(Call::ServerAddress, |stream| Some(stream.server.as_bytes().to_vec()))
    }

    fn cluster(&self) -> Option<Vec<u8>> {
        self.read(Call::Cluster, |stream| Some(stream.cluster.as_bytes().to_vec()))
    }

    fn ask_again(&self) -> bool {
        self.write(Call::AskAgain, |stream| stream.is_marked = true)
    }

    fn remove_mark(&self) {
        self.write(Call::RemoveMark, |stream| stream.is_marked = false);
    }

    fn share(&self, key: &[u8], value: &[u8], version: u32) -> bool {
        if !self.call(Call::Share) {
            return false;
        }
        let mut state = self.0.borrow_mut();
        let sooner = state.sooner.take();
        let told = state.shared.entry(key.to_vec()).or_default();
        told.extend(sooner);
        let last = told.last().map_or(0, |last| last.version);
        let is_last = version == 0 || version == last;
        if is_last {
            told.push(Shared { value: value.to_vec(), version: last.saturating_add(1) });
        }
        is_last
    }

    fn shared(&self, key: &[u8]) -> Option<Shared> {
        if self.call(Call::Shared) { self.state().shared.get(key)?.last().cloned() } else { None }
    }

    fn now(&self) -> Duration {
        if self.call(Call::Now) { self.state().now } else { Duration::ZERO }
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.read(Call::ResponseHeader, |stream| stream::value(&stream.response, name))
    }

    fn is_from_server(&self) -> bool {
        self.read(Call::IsFromServer, |stream| Some(stream.is_from_server)) == Some(true)
    }

    fn response_body(&self, limit: usize) -> Vec<u8> {
        let body = self.read(Call::ResponseBody, |stream| {
            Some(stream.body.iter().take(limit).copied().collect())
        });
        body.unwrap_or_default()
    }

    fn respond(&self, code: u16, headers: &[(&[u8], &[u8])], body: &[u8]) {
        let headers = headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let reply = Reply { code, headers, body: body.to_vec() };
        self.write(Call::Respond, |stream| stream.replies.push(reply));
    }

    fn warn(&self, line: &str) {
        if self.call(Call::Warn) {
            self.change(|state| state.log.push(line.to_owned()));
        }
    }

    fn counter(&self, name: &str) -> Option<usize> {
        self.metric(name)
    }

    fn gauge(&self, name: &str) -> Option<usize> {
        self.metric(name)
    }

    fn add(&self, counter: usize, count: u64) {
        self.change_metric(Call::Add, counter, |value| *value += count);
    }

    fn record(&self, gauge: usize, value: u64) {
        self.change_metric(Call::Record, gauge, |recorded| *recorded = value);
    }
}
