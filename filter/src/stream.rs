//! One request and its response.

use proxy_wasm::types::Action;

use routing::not_found::{self, Body, MAX_BODY_BYTES};
use routing::status::{Encoding, Refusal};
use routing::{Destination, OnTypeLevelNotFound, RequestPath, decide};

use discovery_map::DiscoveryMap;

use crate::host::{self, Map};
use crate::plugin;
use crate::request::{self, Request};
use crate::watched::{Held, Watch};

/// Decides where the request goes, and whether its response is watched.
pub(crate) fn on_request_headers(context: u32) -> Action {
    let headers = Map::RequestHeaders.get();
    plugin::with_map(|map| match map {
        Some(map) => follow(context, &Request::read(&headers, map.identity()), map),
        // Envoy configures before it lets a request in.
        None => refuse(Refusal::NoMap, Encoding::Json),
    })
}

fn follow(context: u32, request: &Request<'_>, map: &DiscoveryMap) -> Action {
    if cfg!(feature = "trap") && request.path == b"/trap" {
        std::process::abort();
    }
    let client = match request.client() {
        Ok(client) => client,
        Err(why) => {
            plugin::with_metrics(|metrics| metrics.certificate_refused());
            return refuse(Refusal::Unauthorized(&why), request.encoding);
        }
    };
    let decision = decide(&RequestPath::new(request.path).target(), map);
    plugin::with_metrics(|metrics| metrics.decided(decision.reason, request.has_claims));
    let cluster = match decision.destination {
        Destination::Default => None,
        Destination::Cluster(cluster) => Some(cluster),
        Destination::Unavailable => return refuse(Refusal::NoPeer, request.encoding),
    };
    if !request.forward(&client, cluster, map.default_cluster()) {
        // Nothing goes on that is not what it should be.
        return refuse(Refusal::NoPeer, request.encoding);
    }
    match decision.on_not_found {
        OnTypeLevelNotFound::Uncertain => plugin::watch(context, Watch::Status(request.encoding)),
        OnTypeLevelNotFound::Truth => drop(plugin::unwatch(context)),
    }
    Action::Continue
}

fn refuse(refusal: Refusal<'_>, encoding: Encoding) -> Action {
    host::answer(refusal, encoding);
    Action::Pause
}

/// Trailers are headers that come late.
pub(crate) fn on_request_trailers() -> Action {
    plugin::with_map(|map| {
        if let Some(map) = map {
            request::clean_trailers(map.identity());
        }
    });
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
    refuse(Refusal::Unproved, held.encoding)
}

fn parse_length(value: Vec<u8>) -> Option<usize> {
    str::from_utf8(&value).ok()?.parse().ok()
}
