//! One request and its response.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use routing::not_found::{self, Body, MAX_BODY_BYTES};
use routing::status::{Encoding, Unavailable};
use routing::{Decision, Destination, OnTypeLevelNotFound, RequestPath, decide};

use crate::{host, plugin};

/// A stream, and what its response is watched for. All that the response
/// phase needs is kept from the request phase.
pub(crate) struct Stream {
    watch: Watch,
}

/// What the response is watched for; only ever moves down.
enum Watch {
    /// A 404 that could be wrong.
    Status(Encoding),
    /// A 404 is held back until its body tells what it is.
    Body(Held),
    /// Nothing: it passes as it comes.
    Nothing,
}

/// A response that is held back.
struct Held {
    /// What the client asked for: plain text says nothing of it.
    encoding: Encoding,
    content_type: Vec<u8>,
    /// In bytes, where the server said so.
    content_length: Option<usize>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self { watch: Watch::Nothing }
    }

    fn follow(&mut self, decision: Decision<'_>, encoding: Encoding) -> Action {
        plugin::with_metrics(|metrics| metrics.decided(decision.reason));
        match decision.destination {
            Destination::Default => {}
            Destination::Cluster(cluster) => host::route_to(cluster),
            Destination::Unavailable => {
                host::answer(Unavailable::NoPeer, encoding);
                return Action::Pause;
            }
        }
        if decision.on_not_found == OnTypeLevelNotFound::Uncertain {
            self.watch = Watch::Status(encoding);
        }
        Action::Continue
    }

    /// Replaces a type-level 404; everything else goes on as it came.
    fn judge(held: &Held, body: Body<'_>) -> Action {
        if !not_found::is_type_level(&held.content_type, body) {
            return Action::Continue;
        }
        plugin::with_metrics(|metrics| metrics.replaced());
        host::answer(Unavailable::Unproved, held.encoding);
        Action::Pause
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let headers = host::request_headers();
        let path = RequestPath::new(headers.first(b":path"));
        let encoding = Encoding::from_accept(headers.first(b"accept"));
        plugin::with_map(|map| match map {
            Some(map) => self.follow(decide(&path.target(), map), encoding),
            // Envoy configures before it lets a request in.
            None => {
                host::answer(Unavailable::NoMap, encoding);
                Action::Pause
            }
        })
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Watch::Status(encoding) = self.watch else { return Action::Continue };
        self.watch = Watch::Nothing;
        if host::response_header(":status").as_deref() != Some(b"404") {
            return Action::Continue;
        }
        let content_type = host::response_header("content-type").unwrap_or_default();
        let content_length = host::response_header("content-length").and_then(parse_length);
        let held = Held { encoding, content_type, content_length };
        if end_of_stream {
            let body = match content_length {
                Some(length) if length > 0 => Body::Withheld(length),
                _ => Body::Whole(b""),
            };
            return Self::judge(&held, body);
        }
        if content_length.is_some_and(|length| length > MAX_BODY_BYTES) {
            return Action::Continue;
        }
        self.watch = Watch::Body(held);
        Action::Pause
    }

    fn on_http_response_body(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Watch::Body(held) = &self.watch else { return Action::Continue };
        let body = host::response_body(MAX_BODY_BYTES.saturating_add(1));
        let whole = end_of_stream || held.content_length.is_some_and(|length| body.len() >= length);
        if !whole && body.len() <= MAX_BODY_BYTES {
            return Action::Pause;
        }
        let action = Self::judge(held, Body::Whole(&body));
        self.watch = Watch::Nothing;
        action
    }
}

fn parse_length(value: Vec<u8>) -> Option<usize> {
    str::from_utf8(&value).ok()?.parse().ok()
}
