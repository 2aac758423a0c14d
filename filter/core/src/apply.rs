//! Carries effects out: the one place where the host is told to do something
//! with a stream, and where that is counted.
//!
//! Whatever few requests need is `#[cold]`, so that it stays out of the code that
//! every request runs: the module is smaller and faster so.

use discovery_map::DocumentForm;
use routing::interest;
use routing::merged::MergedAnswer;
use routing::status::{Encoding, Refusal};

use crate::denied::Denied;
use crate::doubt;
use crate::effect::{Effect, Route};
use crate::evidence::Evidence;
use crate::filter::Filter;
use crate::host::{Action, HeaderMap, Host, StreamId};
use crate::metrics::{Doubt, Event};

const NOTHING: &[u8] = interest::NOTHING.as_bytes();

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
                    self.refuse(Refusal::ProxyFailed, Encoding::Json)
                }
            }
            Effect::Refuse(refusal, encoding) => self.refuse(refusal, encoding),
            Effect::ReplaceNotFound(encoding) => {
                self.count(Event::NotFoundReplaced);
                self.refuse(Refusal::Unproved, encoding)
            }
            Effect::Withhold(change) => {
                self.count(Event::NotFoundChangeWithheld(change));
                Action::Continue
            }
            Effect::SendDocument { form, is_extended, answer } => {
                if is_extended {
                    self.count(Event::DocumentExtended);
                }
                self.send_document(form, &answer)
            }
            Effect::Hold(held) => {
                self.held.insert(stream, held);
                Action::Pause
            }
            Effect::Observe(observed) => {
                self.observed.insert(stream, observed);
                Action::Continue
            }
            Effect::Read => {
                self.bodies.begin(stream);
                self.reading.insert(stream, ());
                Action::Pause
            }
            Effect::ReadOn => {
                self.reading.insert(stream, ());
                Action::Drop
            }
            Effect::Doubt => self.doubt(),
            Effect::Settle => self.settle(),
        }
    }

    /// A request that is not what it should be goes no further.
    fn route(&self, route: &Route<'_>) -> Action {
        let host = &self.host;
        let interest = route.plan.interest.to_bytes();
        let is_kept =
            interest.is_none_or(|interest| host.set_filter_state(interest::STATE, &interest));
        let is_sent = is_kept
            && if route.replaces_headers() {
                route.with_headers(|headers| host.replace_headers(HeaderMap::Request, headers))
            } else {
                route.plan.cluster().is_none_or(|name| host.set_cluster_header(&name))
            };
        if is_sent { Action::Continue } else { self.refuse(Refusal::ProxyFailed, route.encoding) }
    }

    /// Takes note of who denied the request, and asks another server or lets the
    /// 404 go on. What is neither proved nor asked again is replaced on its way to
    /// the client.
    #[cold]
    fn doubt(&self) -> Action {
        let host = &self.host;
        let server = host.server_address().unwrap_or_default();
        let cluster = host.cluster().unwrap_or_default();
        let denied = Denied::with(host.filter_state(interest::DENIED), &server, &cluster);
        let is_kept = host.set_filter_state(interest::DENIED, denied.as_bytes());
        let shared = self.evidence.as_ref().and_then(|key| host.shared(key));
        let evidence = shared.as_ref().and_then(|shared| Evidence::parse(&shared.value));
        let decided = doubt::decide(&denied, evidence.as_ref(), &self.budget, host.now());
        let outcome = match decided {
            Doubt::AskedAgain if !is_kept || !host.ask_again() => Doubt::Unproved,
            Doubt::DeniedByAll if !host.set_filter_state(interest::STATE, NOTHING) => {
                Doubt::Unproved
            }
            outcome => outcome,
        };
        self.count(Event::Doubted(outcome));
        Action::Continue
    }

    #[cold]
    fn settle(&self) -> Action {
        self.count_if_asked_again();
        // If the host fails, the 404 is judged once more.
        self.host.set_filter_state(interest::STATE, NOTHING);
        Action::Continue
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
