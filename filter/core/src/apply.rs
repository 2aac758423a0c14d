//! Carries effects out: the one place where the host is told to do something
//! with a stream, and where that is counted.
//!
//! Whatever few requests need is `#[cold]`, so that it stays out of the code that
//! every request runs: the module is smaller and faster so.

use discovery_map::{Absence, DocumentForm};
use routing::merged::MergedAnswer;
use routing::status::{Encoding, Refusal};

use crate::effect::{AbsenceQuery, Effect};
use crate::filter::Filter;
use crate::forward::Route;
use crate::held::{Held, HeldForCompanion};
use crate::host::{Action, HeaderMap, Host, StreamId};
use crate::metrics::Event;

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
            Effect::Ask(query) => self.ask(stream, &query),
            Effect::Release => {
                self.host.resume_response();
                Action::Continue
            }
        }
    }

    /// Counts what the companion answered; `None` if it did not, or not in time.
    /// Returns whether the 404 passes.
    pub(crate) fn passes(&self, answer: Option<Absence>, held: HeldForCompanion) -> bool {
        self.count(Event::AbsenceQueried(answer));
        answer.map_or(held.passes_unanswered, |absence| absence == Absence::Absent)
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
    fn ask(&self, stream: StreamId, query: &AbsenceQuery<'_>) -> Action {
        let AbsenceQuery { cluster, path, timeout_milliseconds, .. } = query;
        let token = self.host.call_out(cluster, path, *timeout_milliseconds);
        if let Some(token) = token {
            self.asking.insert(token, stream);
            return self.apply(stream, Effect::Hold(Held::ForCompanion(query.held)));
        }
        if self.passes(None, query.held) {
            Action::Continue
        } else {
            self.apply(stream, Effect::ReplaceNotFound(query.held.encoding))
        }
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
