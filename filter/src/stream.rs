//! One request and its response.

use proxy_wasm::types::Action;

use routing::interest::{AwaitedDocument, NotFound, ResponseInterest};
use routing::merged::{self, AccessCheck};
use routing::not_found::{self, Body, MAX_BODY_BYTES};
use routing::status::{Encoding, Refusal};
use routing::{OnTypeLevelNotFound, RequestPath, decide};

use discovery_map::{Destination, DiscoveryMap};

use crate::companion;
use crate::held::Held;
use crate::host::{self, Map};
use crate::plugin;
use crate::request::{self, Request};

/// Decides where the request goes, and whether its response is watched.
pub(crate) fn on_request_headers() -> Action {
    let headers = Map::RequestHeaders.get();
    plugin::with_map(|map| match map {
        Some(map) => match Request::read(&headers, map.identity()) {
            Some(request) => follow(&request, map),
            None => refuse(Refusal::NoPeer, Encoding::Json),
        },
        // Envoy configures before it lets a request in.
        None => refuse(Refusal::NoMap, Encoding::Json),
    })
}

fn follow(request: &Request<'_>, map: &DiscoveryMap) -> Action {
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
    let path = RequestPath::new(request.path);
    let target = path.target();
    let mut decision = decide(&target, map);
    plugin::with_metrics(|metrics| metrics.decided(decision.reason, request.has_claims));
    let question = match request.is_read() {
        true => merged::access_check(&path, &target, request.accept, map),
        false => None,
    };
    if let Some(question) = &question {
        decision.destination = question.entry.destination;
    }
    let cluster = match decision.destination {
        Destination::Default => None,
        Destination::Cluster(cluster) => Some(cluster),
        Destination::Unavailable => return refuse(Refusal::NoPeer, request.encoding),
    };
    let watch = watch(request, &path, question.as_ref(), decision.on_not_found);
    if watch.to_bytes().is_some_and(|watch| !host::set_filter_state(&watch))
        || !request.forward(&client, cluster, map.default_cluster(), question.as_ref())
    {
        // Nothing goes on that is not what it should be.
        return refuse(Refusal::NoPeer, request.encoding);
    }
    Action::Continue
}

/// What the response is watched for; mostly nothing but a 404.
fn watch(
    request: &Request<'_>,
    path: &RequestPath<'_>,
    question: Option<&AccessCheck<'_>>,
    on_not_found: OnTypeLevelNotFound,
) -> ResponseInterest {
    match question {
        Some(question) => ResponseInterest::Document(AwaitedDocument {
            path: merged::document_path(path).into(),
            form: question.entry.form,
            client: request.reader(),
            encoding: request.encoding,
        }),
        None => ResponseInterest::for_not_found(on_not_found, request.encoding, request.path),
    }
}

/// What the request phase said of it.
fn watched() -> ResponseInterest {
    ResponseInterest::from_bytes(host::filter_state().as_deref())
}

fn refuse(refusal: Refusal<'_>, encoding: Encoding) -> Action {
    host::refuse(refusal, encoding);
    Action::Pause
}

/// Trailers are headers that come late.
pub(crate) fn on_request_trailers(count: usize) -> Action {
    let clean = plugin::with_map(|map| {
        map.is_some_and(|map| request::clean_trailers(count, map.identity()))
    });
    match clean {
        true => Action::Continue,
        // The server does not get the end of the request.
        false => refuse(Refusal::NoPeer, Encoding::Json),
    }
}

/// Holds a 404 back that could be wrong, and puts a merged document in place of
/// a server's own; everything else passes.
pub(crate) fn on_response_headers(context: u32, end_of_stream: bool) -> Action {
    let status = host::response_header(":status").unwrap_or_default();
    let watch = watched();
    if cfg!(feature = "trap") {
        must_matter(&watch, &status);
    }
    match (watch, status.as_slice()) {
        (watch, b"404") => match watch.not_found() {
            Some(not_found) => hold(context, not_found, end_of_stream),
            None => Action::Continue,
        },
        // Envoy gives its own errors the status 200 where a client speaks gRPC.
        (ResponseInterest::Document(wanted), b"200" | b"304") if host::is_of_a_server() => {
            substitute(&wanted)
        }
        _ => Action::Continue,
    }
}

/// For tests: Envoy's matcher keeps all others out.
fn must_matter(watch: &ResponseInterest, status: &[u8]) {
    match watch {
        ResponseInterest::Document(_) => {}
        ResponseInterest::NotFound(_) if status == b"404" => {}
        _ => std::process::abort(),
    }
}

/// The server lets the client read: sends the merged document.
fn substitute(wanted: &AwaitedDocument) -> Action {
    let peer = Map::ResponseHeaders.get();
    plugin::with_documents(|current| {
        let found = current.and_then(|(map, documents)| {
            let entry = map.document(&wanted.path, wanted.form)?;
            Some((entry, documents.get(entry.index)?))
        });
        // The last push took the document away: all servers have the same one
        // now. What this one was asked for is not what the client wants.
        let Some((entry, content)) = found else {
            return refuse(Refusal::Unproved, wanted.encoding);
        };
        plugin::with_metrics(|metrics| metrics.merged(wanted.form));
        let answer = wanted.client.answer(&wanted.path, &entry, content, peer.iter());
        let headers: Vec<_> =
            answer.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        host::answer(answer.code, &headers, answer.body);
        Action::Pause
    })
}

/// Holds a 404 back until it is known what it is.
fn hold(context: u32, not_found: NotFound, end_of_stream: bool) -> Action {
    let content_type = host::response_header("content-type").unwrap_or_default();
    let content_length = host::response_header("content-length").and_then(parse_length);
    if end_of_stream {
        let body = match content_length {
            Some(length) if length > 0 => Body::Withheld(length),
            _ => Body::Whole(b""),
        };
        return judge(context, not_found, &content_type, body);
    }
    if content_length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Action::Continue;
    }
    plugin::hold(context, Held::ForItsBody { content_type, content_length });
    Action::Pause
}

/// Judges a 404 that was held back, once there is enough of its body.
pub(crate) fn on_response_body(context: u32, end_of_stream: bool) -> Action {
    let (content_type, content_length) = match plugin::release(context) {
        Some(Held::ForItsBody { content_type, content_length }) => (content_type, content_length),
        // The rest of a 404 that was judged already.
        Some(asked @ Held::ForTheCompanion { .. }) => {
            plugin::hold(context, asked);
            return Action::Pause;
        }
        None => return Action::Continue,
    };
    let body = host::response_body(MAX_BODY_BYTES.saturating_add(1));
    let whole = end_of_stream || content_length.is_some_and(|length| body.len() >= length);
    if !whole && body.len() <= MAX_BODY_BYTES {
        plugin::hold(context, Held::ForItsBody { content_type, content_length });
        return Action::Pause;
    }
    match watched().not_found() {
        Some(not_found) => judge(context, not_found, &content_type, Body::Whole(&body)),
        None => Action::Continue,
    }
}

/// Replaces a type-level 404, or asks about it; everything else goes on as it
/// came.
fn judge(context: u32, not_found: NotFound, content_type: &[u8], body: Body<'_>) -> Action {
    if !not_found::is_type_level(content_type, body) {
        return Action::Continue;
    }
    let NotFound { encoding, ask } = not_found;
    match ask {
        None => replace_not_found(encoding),
        Some(path) => companion::ask(context, &path, encoding),
    }
}

/// Puts a 503 in place of a 404 that cannot be believed.
pub(crate) fn replace_not_found(encoding: Encoding) -> Action {
    plugin::with_metrics(|metrics| metrics.replaced());
    refuse(Refusal::Unproved, encoding)
}

fn parse_length(value: Vec<u8>) -> Option<usize> {
    str::from_utf8(&value).ok()?.parse().ok()
}
