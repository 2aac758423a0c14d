//! The request phase: what the filter reads of a request, and what follows.

use discovery_map::{Destination, DiscoveryMap, IdentityHeaders};
use identity::{Subject, connection, is_claim};
use routing::status::{Encoding, Refusal};
use routing::{Plan, RequestFacts, RequestPath};

use crate::effect::Effect;
use crate::forward::{IdentityEdits, Route};
use crate::headers::Headers;
use crate::host::{Certificate, Host};

/// Envoy sets it, and removes a client's own, if it verified a certificate
/// (`forward_client_cert_details: SANITIZE_SET`). It saves the host call for
/// the certificate for clients that have none; its value is not read.
const CERTIFICATE_HINT: &[u8] = b"x-forwarded-client-cert";

/// A request before it is routed.
#[derive(Debug)]
pub(crate) struct Request<'h> {
    pub(crate) facts: RequestFacts<'h>,
    headers: &'h Headers,
    names: &'h IdentityHeaders,
    /// Set on upgrades only: Envoy removes it from all other requests.
    connection: Option<&'h [u8]>,
    may_have_certificate: bool,
    /// Whether it has headers that only the filter may set.
    pub(crate) has_claims: bool,
}

/// As whom a request goes on.
#[derive(Debug)]
pub(crate) enum ClientIdentity {
    /// Whoever the token says, or nobody: the server finds out.
    Unverified,
    /// The front proxy vouches for it, with these headers.
    Verified(Vec<(String, String)>),
}

impl<'h> Request<'h> {
    /// Reads all headers in one pass. `None` without a method or a path, which
    /// every request has: then the host handed nothing over, and the client's
    /// claims are not known.
    pub(crate) fn read(headers: &'h Headers, names: &'h IdentityHeaders) -> Option<Self> {
        let (mut method, mut path) = (&b""[..], &b""[..]);
        let (mut accept, mut accept_encoding, mut if_none_match) = (None, None, None);
        let (mut connection, mut may_have_certificate, mut has_claims) = (None, false, false);
        for (name, value) in headers.iter() {
            match name {
                b":method" => method = value,
                b":path" => path = value,
                b"accept" => accept = accept.or(Some(value)),
                b"accept-encoding" => accept_encoding = accept_encoding.or(Some(value)),
                b"if-none-match" => if_none_match = if_none_match.or(Some(value)),
                b"connection" => connection = Some(value),
                CERTIFICATE_HINT => may_have_certificate = true,
                _ => has_claims |= is_claim(name, names),
            }
        }
        if method.is_empty() || path.is_empty() {
            return None;
        }
        let accept = accept.unwrap_or_default();
        let facts = RequestFacts {
            path: RequestPath::new(path),
            method,
            accept,
            encoding: Encoding::from_accept(accept),
            accept_encoding: accept_encoding.unwrap_or_default(),
            if_none_match,
            has_certificate: false,
        };
        Some(Self { facts, headers, names, connection, may_have_certificate, has_claims })
    }

    /// Finds out who the client's certificate says it is.
    ///
    /// # Errors
    /// Why no server can be told.
    pub(crate) fn identify(&mut self, host: &impl Host) -> Result<ClientIdentity, String> {
        let certificate = self.may_have_certificate.then(|| host.client_certificate()).flatten();
        let Some(certificate) = certificate else { return Ok(ClientIdentity::Unverified) };
        let headers = self.identity_headers(&certificate)?;
        self.facts.has_certificate = true;
        Ok(ClientIdentity::Verified(headers))
    }

    fn identity_headers(&self, certificate: &Certificate) -> Result<Vec<(String, String)>, String> {
        if !self.names.front_proxy {
            return Err("client certificates are not accepted here".to_owned());
        }
        Subject::parse(&certificate.subject)
            .and_then(|subject| subject.headers(&certificate.sha256, self.names))
            .map_err(|error| error.to_string())
    }

    /// What becomes of the request of this client by this plan.
    pub(crate) fn effect<'a>(
        &'a self,
        client: &'a ClientIdentity,
        plan: &'a Plan<'a>,
    ) -> Effect<'a> {
        let encoding = self.facts.encoding;
        if plan.destination == Destination::Unavailable {
            return Effect::Refuse(Refusal::NoPeer, encoding);
        }
        let headers = match client {
            ClientIdentity::Unverified => &[][..],
            ClientIdentity::Verified(headers) => headers,
        };
        let identity = IdentityEdits {
            names: self.names,
            is_needed: self.has_claims || self.may_have_certificate || self.connection.is_some(),
            connection: self.connection.and_then(connection::sanitized),
            headers,
        };
        Effect::Route(Route { received: self.headers, identity, plan, encoding })
    }
}

/// What becomes of a request's trailers. `count` is the number that the host
/// announced. Trailers are headers that come late.
pub(crate) fn trailers<'a>(
    trailers: &'a Headers,
    count: usize,
    map: Option<&DiscoveryMap>,
) -> Effect<'a> {
    // The server does not get the end of the request.
    let refused = Effect::Refuse(Refusal::NoPeer, Encoding::Json);
    let Some(map) = map else { return refused };
    if trailers.iter().count() != count {
        return refused;
    }
    let is_kept = |(name, _): &(&[u8], &[u8])| !is_claim(name, map.identity());
    let kept: Vec<_> = trailers.iter().filter(is_kept).collect();
    if kept.len() == count { Effect::Pass } else { Effect::StripTrailers(kept) }
}
