//! The callbacks, for the filter of one control plane.

use discovery_map::{DiscoveryMap, Mode};
use routing::interest::{self, ResponseInterest};
use routing::status::{Encoding, Refusal};
use routing::{Plan, Reason, Skew, plan};

use crate::effect::Effect;
use crate::evidence::Evidence;
use crate::filter::{Current, Filter, Phase};
use crate::headers::Headers;
use crate::host::{Action, HeaderMap, Host, StreamId};
use crate::metrics::{Doubt, Event, INTERVAL};
use crate::request::{self, Request};
use crate::response;

/// How often other VMs can share theirs between a look at it and a write.
const MOST_VMS: usize = 1024;

impl<H: Host> Filter<H> {
    /// Takes a pushed map into use.
    pub(crate) fn replace_map(&self, current: Current) {
        self.share(&current.map, self.current.borrow().as_ref().map(|last| last.map.generation));
        self.current.replace(Some(current));
    }

    /// Makes known to the VMs that judge attempts what proves a 404, unless another
    /// worker has told them of a newer map. What is known of this VM's `last` map is
    /// not newer, whatever its generation: generations can begin anew.
    fn share(&self, map: &DiscoveryMap, last: Option<u64>) {
        let Some(key) = &self.evidence else { return };
        let evidence = Evidence::to_bytes(map, self.host.now());
        for _ in 0..MOST_VMS {
            let shared = self.host.shared(key);
            let known = shared.as_ref().and_then(|shared| Evidence::parse(&shared.value));
            let is_newer = known.is_some_and(|known| {
                known.generation > map.generation && Some(known.generation) != last
            });
            let version = shared.map_or(0, |shared| shared.version);
            if is_newer || self.host.share(key, &evidence, version) {
                return;
            }
        }
    }

    /// Removes what proves a 404, unless another map has replaced it. The control plane is gone; what
    /// is left here would be taken for newer than a later one's of the same name.
    pub(crate) fn retire(&self) {
        let (Some(current), Some(key)) = (self.current.take(), &self.evidence) else { return };
        let Some(shared) = self.host.shared(key) else { return };
        let known = Evidence::parse(&shared.value).map(|known| known.generation);
        if known == Some(current.map.generation) {
            self.host.share(key, b"", shared.version);
        }
    }

    /// Decides where the request goes, and what of its response matters.
    pub(crate) fn on_request_headers(&self, stream: StreamId) -> Action {
        let headers = self.host.headers(HeaderMap::Request);
        let current = self.current.borrow();
        match current.as_ref() {
            Some(current) => self.request(stream, &headers, current),
            // The companion has none yet.
            None => self.apply(stream, Effect::Refuse(Refusal::NoMap, Encoding::Json)),
        }
    }

    /// The host is told once a second how many requests were decided, while there are any.
    fn decided(&self, reason: Reason) {
        self.metrics.decided(reason);
        self.ask_for_tick();
    }

    /// Asks the host for one tick, unless it is due already.
    pub(crate) fn ask_for_tick(&self) {
        if !self.is_tick_due.replace(true) {
            self.host.tick_every(INTERVAL);
        }
    }

    fn request(&self, stream: StreamId, headers: &Headers, current: &Current) -> Action {
        let Some(mut request) = Request::read(headers, &current.map.identity, &current.claims)
        else {
            return self.apply(stream, Effect::Refuse(Refusal::ProxyFailed, Encoding::Json));
        };
        match request.identify(&self.host) {
            Ok(()) => {
                let plan = plan(&request.facts, &current.map);
                self.decided(plan.reason);
                if let Some(skew) = plan.skew {
                    self.skewed(skew);
                }
                self.trace(&request, &plan, &current.map);
                let plan = self.in_mode(plan, &current.map);
                if request.has_claims {
                    self.count(Event::ClaimsRemoved);
                }
                self.apply(stream, request.effect(&plan))
            }
            Err(why) => {
                let refusal = Refusal::Unauthorized(&why);
                self.apply(stream, Effect::Refuse(refusal, request.facts.encoding))
            }
        }
    }

    /// Takes note of what the version skew policy made of a component's request.
    #[cold]
    fn skewed(&self, skew: Skew) {
        self.metrics.skewed(skew);
        if let Some(line) = self.skew_log.line(skew) {
            self.host.warn(&line);
        }
    }

    /// Keeps with the stream how the request was decided: for the access log, unless every server can
    /// answer it, and for the client if it is in a group that is told.
    #[inline]
    fn trace(&self, request: &Request<'_>, plan: &Plan<'_>, map: &DiscoveryMap) {
        let everywhere = matches!(plan.reason, Reason::Common | Reason::NotAnApi);
        let is_logged = !everywhere || plan.skew.is_some();
        let groups = &map.decision_header_groups;
        let is_told = !groups.is_empty() && request.is_in_one_of(groups);
        if is_logged || is_told {
            self.keep_trace(&plan.trace(map), is_logged, is_told);
        }
    }

    /// If the host fails, nobody is told.
    #[cold]
    fn keep_trace(&self, trace: &str, is_logged: bool, is_told: bool) {
        for (key, is_kept) in
            [(interest::DECISION, is_logged), (interest::DECISION_FOR_CLIENT, is_told)]
        {
            if is_kept {
                self.host.set_filter_state(key, trace.as_bytes());
            }
        }
    }

    /// Returns the plan as the map's mode lets it be carried out.
    #[inline]
    fn in_mode<'a>(&self, plan: Plan<'a>, map: &'a DiscoveryMap) -> Plan<'a> {
        if map.mode == Mode::Enforce { plan } else { self.withhold(plan, map) }
    }

    #[cold]
    fn withhold<'a>(&self, plan: Plan<'a>, map: &'a DiscoveryMap) -> Plan<'a> {
        let (plan, withheld) = plan.in_mode(map.mode, map);
        if let Some(change) = withheld {
            self.count(Event::RequestChangeWithheld(change));
        }
        plan
    }

    /// Removes a client's identity headers from the request's trailers. `count` is
    /// the number of trailers.
    pub(crate) fn on_request_trailers(&self, stream: StreamId, count: usize) -> Action {
        let trailers = self.host.headers(HeaderMap::RequestTrailers);
        let current = self.current.borrow();
        let claims = current.as_ref().map(|current| &current.claims);
        self.apply(stream, request::trailers(&trailers, count, claims))
    }

    /// Holds back a 404 that could be wrong, and replaces a server's discovery
    /// document by the merged one; everything else passes.
    pub(crate) fn on_response_headers(&self, stream: StreamId, end_of_stream: bool) -> Action {
        let host = &self.host;
        let status = host.response_header(":status").unwrap_or_default();
        if self.phase.get() == Phase::Attempt {
            // A server cannot have another one asked.
            host.remove_mark();
            if *status != *b"404" {
                return self.apply(stream, Effect::Pass);
            }
        }
        let state = host.filter_state(interest::STATE);
        let interest = ResponseInterest::from_bytes(state.as_deref());
        match (interest, &*status) {
            (ResponseInterest::Observed(not_found), b"404") => match self.phase.get() {
                Phase::Attempt => self.apply(stream, Effect::Pass),
                Phase::Client => {
                    self.apply(stream, response::observed(not_found, host, end_of_stream))
                }
            },
            (interest, b"404") => {
                let (not_found, phase) = (interest.not_found(), self.phase.get());
                self.apply(stream, response::not_found(not_found, host, end_of_stream, phase))
            }
            _ if !host.is_from_server() => self.apply(stream, Effect::Pass),
            // Envoy gives its own errors the status 200 if a client speaks gRPC.
            (ResponseInterest::Document(awaited), b"200" | b"304") => {
                self.count_if_asked_again();
                self.document_headers(stream, &awaited, &status, end_of_stream)
            }
            _ => {
                self.count_if_asked_again();
                self.apply(stream, Effect::Pass)
            }
        }
    }

    /// Counts an answer that came after another server's type-level 404.
    pub(crate) fn count_if_asked_again(&self) {
        if self.host.filter_state(interest::DENIED).is_some() {
            self.count(Event::Doubted(Doubt::Answered));
        }
    }

    /// Judges a 404 that was held back, or answers with the merged document, once there is enough
    /// of the body.
    pub(crate) fn on_response_body(&self, stream: StreamId, end_of_stream: bool) -> Action {
        if let Some(held) = self.held.take(stream) {
            return self.apply(stream, response::body(held, &self.host, end_of_stream));
        }
        if self.reading.take(stream).is_none() {
            return self.observed_body(stream, end_of_stream);
        }
        let chunk = self.host.response_body(usize::MAX);
        let is_kept = self.bodies.add(stream, &chunk);
        if is_kept && !end_of_stream {
            return self.apply(stream, Effect::ReadOn);
        }
        self.document_end(stream);
        Action::Drop
    }

    fn observed_body(&self, stream: StreamId, end_of_stream: bool) -> Action {
        match self.observed.take(stream) {
            Some(observed) => {
                self.apply(stream, response::observed_body(observed, &self.host, end_of_stream))
            }
            None => self.apply(stream, Effect::Pass),
        }
    }

    /// Does the same when trailers end a response. The host has nothing more of a document's body.
    pub(crate) fn on_response_trailers(&self, stream: StreamId) -> Action {
        match self.reading.take(stream) {
            Some(()) => self.document_end(stream),
            None => self.on_response_body(stream, true),
        }
    }
}
