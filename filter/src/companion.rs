//! Asking the companion whether a type is really served by nobody, while the
//! 404 that says so is held back.
//!
//! The API server has authenticated and authorized the client before it said
//! 404, so a client that may not ask for the type does not get this far.

use proxy_wasm::types::Action;

use discovery_map::absence_query;
use routing::status::Encoding;

use crate::absence::Verdict;
use crate::held::Held;
use crate::host;
use crate::plugin;
use crate::stream::replace_not_found;

/// Asks about the path of a request, of which the 404 is held back.
pub(crate) fn ask(context: u32, path: &[u8], encoding: Encoding) -> Action {
    // A map that no longer has anybody to ask lets the 404 pass.
    let asked = plugin::with_map(|map| {
        let strict = map?.strict_not_found()?;
        let question = absence_query(path);
        let token = host::ask(&strict.cluster, &question, strict.timeout_milliseconds);
        Some((token, strict.passes_unanswered))
    });
    let Some((token, passes_unanswered)) = asked else { return Action::Continue };
    match token {
        Some(token) => {
            plugin::asks(token, context);
            plugin::hold(context, Held::ForTheCompanion { encoding, passes_unanswered });
            Action::Pause
        }
        None if follow(Verdict::NoAnswer, passes_unanswered) => Action::Continue,
        None => replace_not_found(encoding),
    }
}

/// Lets the 404 go on, or puts a 503 in its place.
pub(crate) fn on_answer(token: u32, has_headers: bool) {
    let verdict = if has_headers {
        let status = host::call_header(":status").unwrap_or_default();
        Verdict::from_answer(&status, host::call_header("date").is_some())
    } else {
        Verdict::NoAnswer
    };
    let Some(context) = plugin::asked_by(token) else { return };
    let held = plugin::release(context);
    // The client may have left meanwhile; then the stream is not there.
    if !host::speak_for(context) {
        return;
    }
    // A stream that was forgotten for its age gets its 404.
    let Some(Held::ForTheCompanion { encoding, passes_unanswered }) = held else {
        return host::resume_response();
    };
    if follow(verdict, passes_unanswered) {
        host::resume_response();
    } else {
        replace_not_found(encoding);
    }
}

fn follow(verdict: Verdict, passes_unanswered: bool) -> bool {
    plugin::with_metrics(|metrics| metrics.asked(verdict));
    verdict.passes(passes_unanswered)
}
