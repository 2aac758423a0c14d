//! The response phase of a 404: which one is held back, after which one another
//! server is asked, and which one is replaced.

use routing::interest::{self, NotFound, NotFoundChange, ObservedNotFound, ResponseInterest};
use routing::not_found::{Body, MAX_BODY_BYTES, is_type_level};

use crate::effect::Effect;
use crate::filter::{Held, Observed, Phase};
use crate::host::Host;

/// Longer than the media types of type-level 404s, in bytes.
const LONGEST_MEDIA_TYPE: usize = 64;

/// A 404 whose headers have come; `not_found` is what to do about it if it is a
/// type-level one.
pub(crate) fn not_found<'a>(
    not_found: Option<NotFound>,
    host: &impl Host,
    end_of_stream: bool,
    phase: Phase,
) -> Effect<'a> {
    let Some(not_found) = not_found else { return Effect::Pass };
    let (content_type, content_length) = about_the_body(host);
    if end_of_stream {
        return judge(not_found, &content_type, absent_body(content_length), phase);
    }
    if content_length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return believed(phase);
    }
    Effect::Hold(Held { content_type, content_length, phase })
}

/// More of the body of a 404 that is held back for it.
pub(crate) fn body<'a>(held: Held, host: &impl Host, end_of_stream: bool) -> Effect<'a> {
    let body = host.response_body(MAX_BODY_BYTES.saturating_add(1));
    let whole = end_of_stream || held.content_length.is_some_and(|length| body.len() >= length);
    if !whole && body.len() <= MAX_BODY_BYTES {
        return Effect::Hold(held);
    }
    let state = host.filter_state(interest::STATE);
    match ResponseInterest::from_bytes(state.as_deref()).not_found() {
        Some(not_found) => judge(not_found, &held.content_type, Body::Whole(&body), held.phase),
        None => Effect::Pass,
    }
}

/// The headers of a 404 that passes, whatever it is.
#[cold]
pub(crate) fn observed<'a>(
    not_found: ObservedNotFound,
    host: &impl Host,
    end_of_stream: bool,
) -> Effect<'a> {
    let (content_type, content_length) = about_the_body(host);
    if end_of_stream {
        return count(not_found, &content_type, absent_body(content_length));
    }
    if content_length.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Effect::Pass;
    }
    Effect::Observe(Observed { not_found, content_type, body: Vec::new() })
}

/// More of the body of a 404 that passes. The host has only the part that is about to pass.
#[cold]
pub(crate) fn observed_body<'a>(
    mut observed: Observed,
    host: &impl Host,
    end_of_stream: bool,
) -> Effect<'a> {
    let most = MAX_BODY_BYTES.saturating_add(1);
    observed.body.extend(host.response_body(most));
    if observed.body.len() > MAX_BODY_BYTES {
        return Effect::Pass;
    }
    if !end_of_stream {
        return Effect::Observe(observed);
    }
    count(observed.not_found, &observed.content_type, Body::Whole(&observed.body))
}

fn count<'a>(not_found: ObservedNotFound, content_type: &[u8], body: Body<'_>) -> Effect<'a> {
    let is_empty = not_found.may_be_empty && body == Body::Whole(b"");
    if is_empty || is_type_level(content_type, body) {
        Effect::Withhold(not_found.change)
    } else {
        Effect::Pass
    }
}

/// Returns the beginning of the media type, and the length of the body if the server said it.
fn about_the_body(host: &impl Host) -> (Vec<u8>, Option<usize>) {
    let content_type = host.response_header("content-type").unwrap_or_default();
    // Servers decide how long it is, and many 404s can be held at once.
    let content_type = content_type.iter().take(LONGEST_MEDIA_TYPE).copied().collect();
    let content_length = host.response_header("content-length").and_then(parse_length);
    (content_type, content_length)
}

/// Returns the body of a response that ends with its headers.
fn absent_body(content_length: Option<usize>) -> Body<'static> {
    match content_length {
        Some(length) if length > 0 => Body::Withheld(length),
        _ => Body::Whole(b""),
    }
}

/// A type-level 404 of an attempt is asked of another server; one that comes
/// through was not said by every server. Everything else passes as it came.
fn judge<'a>(not_found: NotFound, content_type: &[u8], body: Body<'_>, phase: Phase) -> Effect<'a> {
    let is_empty = not_found.may_be_empty && body == Body::Whole(b"");
    if !is_empty && !is_type_level(content_type, body) {
        return believed(phase);
    }
    match phase {
        Phase::Attempt => Effect::Doubt,
        Phase::Client if not_found.passes => Effect::Withhold(NotFoundChange::Replaced),
        Phase::Client => Effect::ReplaceNotFound(not_found.encoding),
    }
}

fn believed<'a>(phase: Phase) -> Effect<'a> {
    match phase {
        Phase::Attempt => Effect::Settle,
        Phase::Client => Effect::Pass,
    }
}

fn parse_length(value: Vec<u8>) -> Option<usize> {
    str::from_utf8(&value).ok()?.parse().ok()
}
