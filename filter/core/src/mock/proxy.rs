//! A filter on a mock host, entered as a proxy enters it.

use std::cell::Ref;
use std::rc::Rc;

use discovery_map::Faults;

use super::{Call, Fields, MockHost, Stream, fields};
use crate::filter::Filter;
use crate::host::{Action, StreamId};

/// The map of the contract's golden file: `cp-1` and `cp-2` serve, only `cp-2`
/// serves `pods/resize`, and `cp-3` cannot be reached.
pub const GOLDEN: &str = include_str!("../../../../discovery-map/golden/map.json");

/// A filter on a mock host.
#[derive(Debug)]
pub struct MockProxy {
    /// The host.
    pub host: Rc<MockHost>,
    /// The filter.
    pub filter: Filter<Rc<MockHost>>,
}

impl Default for MockProxy {
    /// A filter without a map.
    fn default() -> Self {
        let host = Rc::<MockHost>::default();
        Self { filter: Filter::new(Rc::clone(&host)), host }
    }
}

impl MockProxy {
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
        self.filter.on_configure()
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
        self.filter.on_request_headers(stream)
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
        self.filter.on_request_trailers(stream, count)
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
        self.filter.on_response_headers(stream, end_of_stream)
    }

    /// Enters the filter by more of a response's body, which is held back with
    /// what came before.
    pub fn body(&self, stream: StreamId, chunk: &[u8], end_of_stream: bool) -> Action {
        self.select(stream, |stream| stream.body.extend_from_slice(chunk));
        let action = self.filter.on_response_body(stream, end_of_stream);
        if action == Action::Drop {
            self.change(stream, |stream| stream.body.clear());
        }
        action
    }

    /// Enters the filter by the trailers that end a response.
    pub fn trailers_of_response(&self, stream: StreamId) -> Action {
        self.select(stream, |_| ());
        self.filter.on_response_trailers(stream)
    }

    /// A filter at the servers, which knows what this one tells of its map.
    #[must_use]
    pub fn at_server(&self) -> Self {
        let proxy = Self::default();
        let shared = self.host.state().shared.clone();
        proxy.host.change(|state| state.shared = shared);
        proxy.filter.judge_attempts();
        proxy
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
        self.filter.on_tick();
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
            change(state.streams.entry(stream).or_default());
        });
    }
}
