//! The callbacks.

use discovery_map::{DiscoveryMap, Documents, Faults, NO_MAP};
use identity::Claims;
use routing::interest::{self, ResponseInterest};
use routing::plan;
use routing::status::{Encoding, Refusal};

use crate::effect::Effect;
use crate::evidence::Evidence;
use crate::extensions::Extensions;
use crate::filter::{Current, Filter, Phase};
use crate::headers::Headers;
use crate::host::{Action, HeaderMap, Host, StreamId};
use crate::metrics::{Doubt, Event, INTERVAL};
use crate::request::{self, Request};
use crate::response;

/// How often other VMs can share theirs between a look at it and a write.
const MOST_VMS: usize = 1024;

impl<H: Host> Filter<H> {
    /// Takes a pushed map into use, or refuses it as a whole; then the last one
    /// stays. The result depends on the configuration's bytes alone: a map that
    /// the main thread accepted must not fail on a worker, where nobody could
    /// refuse it any more. [`NO_MAP`] is accepted and changes nothing.
    ///
    /// # Errors
    /// What is wrong with the map.
    pub fn on_configure(&self) -> Result<(), Faults> {
        let configuration = self.host.configuration();
        if configuration == NO_MAP.as_bytes() {
            return Ok(());
        }
        let current = self.read(&configuration)?;
        self.share(&current.map, self.current.borrow().as_ref().map(|last| last.map.generation));
        self.metrics().configured(&self.host, &current.map);
        self.current.replace(Some(current));
        self.host.tick_every(INTERVAL);
        Ok(())
    }

    /// Judges attempts at servers from now on, and nothing else.
    pub fn judge_attempts(&self) {
        self.is_at_server.set(true);
    }

    /// Makes known to the VMs that judge attempts what proves a 404, unless another
    /// worker has told them of a newer map. What is known of this VM's `last` map is
    /// not newer, whatever its generation: generations can begin anew.
    fn share(&self, map: &DiscoveryMap, last: Option<u64>) {
        let evidence = Evidence::to_bytes(map, self.host.now());
        for _ in 0..MOST_VMS {
            let shared = self.host.shared();
            let known = shared.as_ref().and_then(|shared| Evidence::parse(&shared.value));
            let is_newer = known.is_some_and(|known| {
                known.generation > map.generation && Some(known.generation) != last
            });
            let version = shared.map_or(0, |shared| shared.version);
            if is_newer || self.host.share(&evidence, version) {
                return;
            }
        }
    }

    /// Reads a map and unpacks its documents, once for all requests.
    fn read(&self, json: &[u8]) -> Result<Current, Faults> {
        let mut map = DiscoveryMap::from_json(json)?;
        let packed = map.take_packed();
        let documents = match &*self.current.borrow() {
            Some(current) => Documents::unpack(packed, &current.documents),
            None => Documents::unpack(packed, &Documents::default()),
        };
        let (claims, extensions) = (Claims::new(&map.identity), Extensions::default());
        Ok(Current { map, claims, documents: documents?, extensions })
    }

    /// Tells the host what was counted since the last time.
    pub fn on_tick(&self) {
        self.metrics().publish(&self.host);
    }

    /// Decides where the request goes, and what of its response matters.
    pub fn on_request_headers(&self, stream: StreamId) -> Action {
        let headers = self.host.headers(HeaderMap::Request);
        let current = self.current.borrow();
        match current.as_ref() {
            Some(current) => self.request(stream, &headers, current),
            // The companion has none yet.
            None => self.apply(stream, Effect::Refuse(Refusal::NoMap, Encoding::Json)),
        }
    }

    fn request(&self, stream: StreamId, headers: &Headers, current: &Current) -> Action {
        let Some(mut request) = Request::read(headers, &current.map.identity, &current.claims)
        else {
            return self.apply(stream, Effect::Refuse(Refusal::NoPeer, Encoding::Json));
        };
        match request.identify(&self.host) {
            Ok(()) => {
                let plan = plan(&request.facts, &current.map);
                self.metrics().decided(plan.reason);
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

    /// Removes a client's identity headers from the request's trailers. `count` is
    /// the number of trailers.
    pub fn on_request_trailers(&self, stream: StreamId, count: usize) -> Action {
        let trailers = self.host.headers(HeaderMap::RequestTrailers);
        let current = self.current.borrow();
        let claims = current.as_ref().map(|current| &current.claims);
        self.apply(stream, request::trailers(&trailers, count, claims))
    }

    /// Holds back a 404 that could be wrong, and replaces a server's discovery
    /// document by the merged one; everything else passes.
    pub fn on_response_headers(&self, stream: StreamId, end_of_stream: bool) -> Action {
        let host = &self.host;
        let status = host.response_header(":status").unwrap_or_default();
        if self.phase() == Phase::Attempt {
            // A server cannot have another one asked.
            host.remove_mark();
            if *status != *b"404" {
                return self.apply(stream, Effect::Pass);
            }
        }
        let state = host.filter_state(interest::STATE);
        let interest = ResponseInterest::from_bytes(state.as_deref());
        match (interest, &*status) {
            (interest, b"404") => {
                let (not_found, phase) = (interest.not_found(), self.phase());
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
    pub fn on_response_body(&self, stream: StreamId, end_of_stream: bool) -> Action {
        if let Some(held) = self.held.take(stream) {
            return self.apply(stream, response::body(held, &self.host, end_of_stream));
        }
        if self.reading.take(stream).is_none() {
            return self.apply(stream, Effect::Pass);
        }
        let chunk = self.host.response_body(usize::MAX);
        let is_kept = self.bodies.add(stream, &chunk);
        if is_kept && !end_of_stream {
            return self.apply(stream, Effect::ReadOn);
        }
        self.document_end(stream);
        Action::Drop
    }

    /// Does the same when trailers end a response. The host has nothing more of a document's body.
    pub fn on_response_trailers(&self, stream: StreamId) -> Action {
        match self.reading.take(stream) {
            Some(()) => self.document_end(stream),
            None => self.on_response_body(stream, true),
        }
    }
}
