//! The filter of a control plane on a mock host, entered as a proxy enters it.

use std::cell::{Cell, Ref};
use std::rc::Rc;
use std::time::Duration;

use discovery_map::Faults;

use super::{Call, Fields, MockHost, Stream, fields};
use crate::filters::Filters;
use crate::host::{Action, ContextId, Shared, StreamId};

/// The map of the contract's golden file: `cp-1` and `cp-2` serve, only `cp-2`
/// serves `pods/resize`, and `cp-3` cannot be reached.
pub const GOLDEN: &str = include_str!("../../../../discovery-map/golden/map.json");

/// The root identifier of the filter in the listener, if there is one control plane.
const ROOT: &str = "mixed-version-proxy";

/// What is behind it in the root identifier of the filter at the servers.
const AT_SERVER: &str = "-at-server";

/// The filter of a control plane on a mock host.
#[derive(Debug)]
pub struct MockProxy {
    /// The host.
    pub host: Rc<MockHost>,
    /// The filters of the VM.
    pub filters: Rc<Filters<Rc<MockHost>>>,
    /// What is behind the filter's name in its root identifier.
    name: String,
    is_at_server: bool,
    /// The last configuration.
    context: Cell<Option<ContextId>>,
}

impl Default for MockProxy {
    /// A filter that has not been configured.
    fn default() -> Self {
        let host = Rc::<MockHost>::default();
        let filters = Rc::new(Filters::new(Rc::clone(&host)));
        let context = Cell::new(None);
        Self { host, filters, name: String::new(), is_at_server: false, context }
    }
}

impl MockProxy {
    /// The filter of another control plane in the same VM, which has not been configured.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self {
            host: Rc::clone(&self.host),
            filters: Rc::clone(&self.filters),
            name: format!("/{name}"),
            is_at_server: self.is_at_server,
            context: Cell::new(None),
        }
    }

    /// A filter that has been configured with this map, whatever came of it.
    #[must_use]
    pub fn with_map(json: &str) -> Self {
        let proxy = Self::default();
        drop(proxy.configure(json));
        proxy
    }

    /// A filter with the golden map.
    #[must_use]
    pub fn golden() -> Self {
        Self::with_map(GOLDEN)
    }

    /// Pushes a map.
    ///
    /// # Errors
    /// Those of the filter.
    pub fn configure(&self, json: &str) -> Result<(), Faults> {
        self.host.change(|state| state.configuration = json.as_bytes().to_vec());
        self.filters.on_configure(self.new_context())
    }

    /// Judges attempts at servers from now on.
    pub fn judge_attempts(&self) {
        self.filters.judge_attempts(self.new_context());
    }

    fn new_context(&self) -> ContextId {
        let at = if self.is_at_server { AT_SERVER } else { "" };
        let root_id = format!("{ROOT}{at}{}", self.name).into_bytes();
        let mut context = ContextId(1);
        self.host.change(|state| {
            state.last_context += 1;
            context = ContextId(state.last_context);
            state.contexts.insert(context, root_id);
            state.context = Some(context);
        });
        self.context.set(Some(context));
        context
    }

    /// Has the host drop all configurations but the last.
    pub fn drop_older(&self) {
        self.drop_contexts(|context| Some(context) != self.context.get());
    }

    /// Has the host drop all configurations: the control plane is removed.
    pub fn remove(&self) {
        self.drop_contexts(|_| true);
        self.context.set(None);
    }

    fn drop_contexts(&self, is_dropped: impl Fn(ContextId) -> bool) {
        let context = self.context.get();
        self.host.change(|state| {
            let own = context.and_then(|context| state.contexts.get(&context)).cloned();
            state.contexts.retain(|&id, root| own.as_ref() != Some(root) || !is_dropped(id));
        });
    }

    /// Enters the filter by a tick.
    pub fn tick(&self) {
        let Some(context) = self.context.get() else { return };
        self.host.change(|state| state.context = Some(context));
        self.filters.on_tick(context);
    }

    /// Returns how often the last configuration ticks.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        self.host.state().ticks.get(&self.context.get()?).copied()
    }

    /// Makes a call fail from now on.
    #[must_use]
    pub fn failing(self, call: Call) -> Self {
        self.host.change(|state| state.failing.extend([call]));
        self
    }

    /// Changes a stream, which is there from now on.
    pub fn change(&self, stream: StreamId, change: impl FnOnce(&mut Stream)) {
        self.host.change(|state| change(state.streams.entry(stream).or_default()));
    }

    /// Enters the filter by a request's headers.
    pub fn request(&self, stream: StreamId, headers: &[(&str, &str)]) -> Action {
        self.request_bytes(stream, fields(headers))
    }

    /// Enters the filter by a request's headers, of any bytes.
    pub fn request_bytes(&self, stream: StreamId, headers: Fields) -> Action {
        self.select(stream, |stream| stream.request = headers);
        self.filters.on_request_headers(stream)
    }

    /// Enters the filter by a GET of a path.
    pub fn get(&self, stream: StreamId, path: &str) -> Action {
        self.request(stream, &[(":method", "GET"), (":path", path)])
    }

    /// Enters the filter by a request's trailers.
    pub fn trailers(&self, stream: StreamId, trailers: &[(&str, &str)]) -> Action {
        self.trailers_bytes(stream, fields(trailers))
    }

    /// Enters the filter by a request's trailers, of any bytes.
    pub fn trailers_bytes(&self, stream: StreamId, trailers: Fields) -> Action {
        let count = trailers.len();
        self.select(stream, |stream| stream.trailers = trailers);
        self.filters.on_request_trailers(stream, count)
    }

    /// Enters the filter by the headers of a server's response.
    pub fn response(
        &self,
        stream: StreamId,
        headers: &[(&str, &str)],
        end_of_stream: bool,
    ) -> Action {
        self.response_bytes(stream, fields(headers), end_of_stream)
    }

    /// Enters the filter by the headers of a server's response, of any bytes.
    pub fn response_bytes(&self, stream: StreamId, headers: Fields, end_of_stream: bool) -> Action {
        self.select(stream, |stream| {
            stream.response = headers;
            stream.is_from_server = true;
        });
        let action = self.filters.on_response_headers(stream, end_of_stream);
        self.change(stream, |stream| stream.is_held = action != Action::Continue);
        action
    }

    /// Enters the filter by more of a response's body. What came before is there as well if it is
    /// held back.
    pub fn body(&self, stream: StreamId, chunk: &[u8], end_of_stream: bool) -> Action {
        self.select(stream, |stream| {
            if !stream.is_held {
                stream.body.clear();
            }
            stream.body.extend_from_slice(chunk);
        });
        let action = self.filters.on_response_body(stream, end_of_stream);
        if action == Action::Drop {
            self.change(stream, |stream| stream.body.clear());
        }
        self.change(stream, |stream| stream.is_held = action != Action::Continue);
        action
    }

    /// Enters the filter by the trailers that end a response.
    pub fn trailers_of_response(&self, stream: StreamId) -> Action {
        self.select(stream, |_| ());
        self.filters.on_response_trailers(stream)
    }

    /// A filter at the servers, which knows what this one tells of its map.
    #[must_use]
    pub fn at_server(&self) -> Self {
        let proxy = Self { name: self.name.clone(), is_at_server: true, ..Self::default() };
        let shared = self.host.state().shared.clone();
        proxy.host.change(|state| state.shared = shared);
        proxy.judge_attempts();
        proxy
    }

    /// What VMs told each other of the control plane, in this order.
    #[must_use]
    pub fn shared(&self) -> Vec<Shared> {
        self.host.state().shared.get(&self.key()).cloned().unwrap_or_default()
    }

    /// Has another VM tell this of the control plane.
    pub fn hear(&self, shared: Shared) {
        let key = self.key();
        self.host.change(|state| state.shared.entry(key).or_default().push(shared));
    }

    fn key(&self) -> Vec<u8> {
        format!("evidence{}", self.name).into_bytes()
    }

    /// A stream as it is now.
    #[must_use]
    pub fn stream(&self, stream: StreamId) -> Stream {
        self.host.state().streams.get(&stream).cloned().unwrap_or_default()
    }

    /// The value of a metric, by what follows `mixed_version_proxy_`, after the
    /// filter has told the host.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u64> {
        self.tick();
        let name = format!("mixed_version_proxy_{name}");
        let state = self.host.state();
        state.metrics.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The calls since the last time that this was asked.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let calls = Ref::map(self.host.state(), |state| &state.calls).clone();
        self.host.change(|state| state.calls.clear());
        calls
    }

    fn select(&self, stream: StreamId, change: impl FnOnce(&mut Stream)) {
        self.host.change(|state| {
            state.current = Some(stream);
            state.context = self.context.get();
            change(state.streams.entry(stream).or_default());
        });
    }
}
