//! One request and its response.

use proxy_wasm::types::Action;

use routing::not_found::{self, Body, MAX_BODY_BYTES};
use routing::status::{Encoding, Unavailable};
use routing::{Decision, Destination, OnTypeLevelNotFound, RequestPath, decide};

use crate::watched::{Held, Watch};
use crate::{host, plugin};

/// Decides where the request goes, and whether its response is watched.
pub(crate) fn on_request_headers(context: u32) -> Action {
    let headers = host::request_headers();
    let path = RequestPath::new(headers.first(b":path"));
    let encoding = Encoding::from_accept(headers.first(b"accept"));
    plugin::with_map(|map| match map {
        Some(map) => follow(context, decide(&path.target(), map), encoding),
        // Envoy configures before it lets a request in.
        None => {
            host::answer(Unavailable::NoMap, encoding);
            Action::Pause
        }
    })
}

fn follow(context: u32, decision: Decision<'_>, encoding: Encoding) -> Action {
    plugin::with_metrics(|metrics| metrics.decided(decision.reason));
    match decision.destination {
        Destination::Default => {}
        Destination::Cluster(cluster) => host::route_to(cluster),
        Destination::Unavailable => {
            host::answer(Unavailable::NoPeer, encoding);
            return Action::Pause;
        }
    }
    match decision.on_not_found {
        OnTypeLevelNotFound::Uncertain => plugin::watch(context, Watch::Status(encoding)),
        OnTypeLevelNotFound::Truth => drop(plugin::unwatch(context)),
    }
    Action::Continue
}

/// Holds a 404 back that could be wrong; everything else passes.
pub(crate) fn on_response_headers(context: u32, end_of_stream: bool) -> Action {
    let Some(Watch::Status(encoding)) = plugin::unwatch(context) else { return Action::Continue };
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
        return judge(&held, body);
    }
    if content_length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Action::Continue;
    }
    plugin::watch(context, Watch::Body(held));
    Action::Pause
}

/// Judges a 404 that was held back, once there is enough of its body.
pub(crate) fn on_response_body(context: u32, end_of_stream: bool) -> Action {
    let Some(Watch::Body(held)) = plugin::unwatch(context) else { return Action::Continue };
    let body = host::response_body(MAX_BODY_BYTES.saturating_add(1));
    let whole = end_of_stream || held.content_length.is_some_and(|length| body.len() >= length);
    if !whole && body.len() <= MAX_BODY_BYTES {
        plugin::watch(context, Watch::Body(held));
        return Action::Pause;
    }
    judge(&held, Body::Whole(&body))
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

fn parse_length(value: Vec<u8>) -> Option<usize> {
    str::from_utf8(&value).ok()?.parse().ok()
}
