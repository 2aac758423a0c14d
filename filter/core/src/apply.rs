//! Carries effects out: the one place where the host is told to do something
//! with a stream, and where that is counted.
//!
//! Whatever few requests need is `#[cold]`, so that it stays out of the code that
//! every request runs: the module is smaller and faster so.

use discovery_map::{Absence, DocumentForm, StrictNotFound};
use routing::merged::MergedAnswer;
use routing::status::{Encoding, Refusal};

use crate::effect::{Effect, Route};
use crate::filter::{Filter, Held};
use crate::host::{Action, HeaderMap, Host, StreamId};
use crate::metrics::Event;
use crate::verdict::Verdict;

impl<H: Host> Filter<H> {
    /// Carries an effect out for the stream at hand.
    #[inline]
    pub(crate) fn apply(&self, stream: StreamId, effect: Effect<'_>) -> Action {
        match effect {
            Effect::Pass => Action::Continue,
            Effect::Route(route) => self.route(&route),
            Effect::StripTrailers(kept) => {
                if self.host.replace_headers(HeaderMap::RequestTrailers, &kept) {
                    Action::Continue
                } else {
                    self.refuse(Refusal::NoPeer, Encoding::Json)
                }
            }
            Effect::Refuse(refusal, encoding) => self.refuse(refusal, encoding),
            Effect::ReplaceNotFound(encoding) => {
                self.count(Event::NotFoundReplaced);
                self.refuse(Refusal::Unproved, encoding)
            }
            Effect::SendDocument(form, answer) => self.send_document(form, &answer),
            Effect::Hold(held) => {
                self.held.insert(stream, held);
                Action::Pause
            }
            Effect::Ask { strict, query, encoding } => self.ask(stream, strict, &query, encoding),
            Effect::Release => {
                self.host.resume_response();
                Action::Continue
            }
        }
    }

    /// Counts what came of an absence query. Returns whether the 404 passes.
    pub(crate) fn passes(&self, verdict: Verdict, passes_unanswered: bool) -> bool {
        self.count(Event::AbsenceQueried(verdict));
        match verdict {
            Verdict::Answered(absence) => absence == Absence::Absent,
            Verdict::NoAnswer => passes_unanswered,
        }
    }

    /// A request that is not what it should be goes no further.
    fn route(&self, route: &Route<'_>) -> Action {
        let host = &self.host;
        let interest = route.plan.interest.to_bytes();
        let is_kept = interest.is_none_or(|interest| host.set_filter_state(&interest));
        let is_sent = is_kept
            && if route.replaces_headers() {
                route.with_headers(|headers| host.replace_headers(HeaderMap::Request, headers))
            } else {
                route.plan.cluster().is_none_or(|name| host.set_cluster_header(&name))
            };
        if is_sent { Action::Continue } else { self.refuse(Refusal::NoPeer, route.encoding) }
    }

    #[cold]
    fn ask(
        &self,
        stream: StreamId,
        strict: &StrictNotFound,
        query: &str,
        encoding: Encoding,
    ) -> Action {
        let StrictNotFound { cluster, timeout_milliseconds, passes_unanswered } = strict;
        let effect = match self.host.call_out(cluster, query, *timeout_milliseconds) {
            Some(token) => {
                self.asking.insert(token, stream);
                let passes_unanswered = *passes_unanswered;
                Effect::Hold(Held::ForCompanion { encoding, passes_unanswered })
            }
            None if self.passes(Verdict::NoAnswer, *passes_unanswered) => Effect::Pass,
            None => Effect::ReplaceNotFound(encoding),
        };
        self.apply(stream, effect)
    }

    #[cold]
    fn send_document(&self, form: DocumentForm, answer: &MergedAnswer<'_>) -> Action {
        self.count(Event::DocumentSent(form));
        let headers = answer.headers.iter().map(|(name, value)| (*name, value.as_ref()));
        self.host.respond(answer.code, &headers.collect::<Vec<_>>(), answer.body);
        Action::Pause
    }

    #[cold]
    fn refuse(&self, refusal: Refusal<'_>, encoding: Encoding) -> Action {
        if matches!(refusal, Refusal::Unauthorized(_)) {
            self.count(Event::CertificateRefused);
        }
        let retry_after = refusal.retry_after_seconds().map(|seconds| seconds.to_string());
        let mut headers = vec![
            (&b"content-type"[..], encoding.media_type().as_bytes()),
            (b"cache-control", b"no-cache, private"),
        ];
        headers.extend(retry_after.as_deref().map(|s| (&b"retry-after"[..], s.as_bytes())));
        self.host.respond(refusal.code(), &headers, &refusal.body(encoding));
        Action::Pause
    }
}
