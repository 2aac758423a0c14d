//! The request phase: what the filter reads of a request, and what follows.

use discovery_map::{Destination, IdentityHeaders};
use identity::{Claims, Subject, connection};
use routing::status::{Encoding, Refusal};
use routing::{Plan, RequestFacts, RequestPath};

use crate::effect::{Effect, IdentityEdits, Route};
use crate::headers::Headers;
use crate::host::{Certificate, ClientCertificate, Host};

/// Envoy sets it, and removes a client's own, if it verified a certificate
/// (`forward_client_cert_details: SANITIZE_SET`). It saves the host call for
/// the certificate for clients that have none; its value is not read.
const CERTIFICATE_HINT: &[u8] = b"x-forwarded-client-cert";

/// A request before it is routed.
#[derive(Debug)]
pub(crate) struct Request<'h> {
    pub(crate) facts: RequestFacts<'h>,
    received: &'h Headers,
    identity: IdentityEdits<'h>,
    may_have_certificate: bool,
    /// Whether it has headers that only the filter may set.
    pub(crate) has_claims: bool,
}

impl<'h> Request<'h> {
    /// Reads all headers in one pass. `None` without a method or a path, which
    /// every request has: then the host handed nothing over, and the client's
    /// claims are not known.
    pub(crate) fn read(
        headers: &'h Headers,
        names: &'h IdentityHeaders,
        claims: &'h Claims,
    ) -> Option<Self> {
        let (mut method, mut path) = (&b""[..], &b""[..]);
        let (mut accept, mut accept_encoding, mut if_none_match) = (None, None, None);
        let mut user_agent = None;
        // Envoy removes `Connection` from all requests but upgrades.
        let (mut connection, mut may_have_certificate, mut has_claims) = (None, false, false);
        for (name, value) in headers.iter() {
            match name {
                b":method" => method = value,
                b":path" => path = value,
                b"accept" => accept = accept.or(Some(value)),
                b"accept-encoding" => accept_encoding = accept_encoding.or(Some(value)),
                b"user-agent" => user_agent = user_agent.or(Some(value)),
                b"if-none-match" => if_none_match = if_none_match.or(Some(value)),
                b"connection" => connection = Some(value),
                CERTIFICATE_HINT => may_have_certificate = true,
                _ => has_claims |= claims.include(name),
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
            user_agent: user_agent.unwrap_or_default(),
            accept_encoding: accept_encoding.unwrap_or_default(),
            if_none_match,
            has_certificate: false,
        };
        let identity = IdentityEdits {
            names,
            claims,
            is_needed: has_claims || may_have_certificate || connection.is_some(),
            connection: connection.and_then(connection::sanitized),
            headers: Vec::new(),
        };
        Some(Self { facts, received: headers, identity, may_have_certificate, has_claims })
    }

    /// Finds out who the client's certificate says it is. Without a certificate a
    /// token says it, or nothing does: the server finds out. A certificate that
    /// cannot be read is not the same as none: the client would be taken for
    /// someone else.
    ///
    /// # Errors
    /// Why no server can be told.
    pub(crate) fn identify(&mut self, host: &impl Host) -> Result<(), String> {
        if !self.may_have_certificate {
            return Ok(());
        }
        let Certificate { subject, sha256 } = match host.client_certificate() {
            ClientCertificate::None => return Ok(()),
            ClientCertificate::Verified(certificate) => certificate,
            ClientCertificate::Unreadable => {
                return Err("the client certificate cannot be read".to_owned());
            }
        };
        if !self.identity.names.front_proxy {
            return Err("client certificates are not accepted here".to_owned());
        }
        let headers = Subject::parse(&subject)
            .and_then(|subject| subject.headers(&sha256, self.identity.names));
        self.identity.headers = headers.map_err(|error| error.to_string())?;
        self.facts.has_certificate = true;
        Ok(())
    }

    /// Returns whether the client's certificate has one of these groups. What a client sends does not
    /// count, and the groups of a token are not known.
    pub(crate) fn is_in_one_of(&self, groups: &[String]) -> bool {
        let name = self.identity.names.group_headers.first();
        let mut own = self.identity.headers.iter();
        name.is_some_and(|name| {
            own.any(|(header, group)| header.eq_ignore_ascii_case(name) && groups.contains(group))
        })
    }

    /// What becomes of the request by this plan.
    pub(crate) fn effect<'a>(&'a self, plan: &'a Plan<'a>) -> Effect<'a> {
        let Self { received, identity, facts, .. } = self;
        if plan.destination == Destination::Unavailable {
            return Effect::Refuse(Refusal::NoPeer, facts.encoding);
        }
        Effect::Route(Route { received, identity, plan, encoding: facts.encoding })
    }
}

/// What becomes of a request's trailers. `count` is the number that the host
/// announced. Trailers are headers that come late.
pub(crate) fn trailers<'a>(
    trailers: &'a Headers,
    count: usize,
    claims: Option<&Claims>,
) -> Effect<'a> {
    // The server does not get the end of the request.
    let refused = Effect::Refuse(Refusal::ProxyFailed, Encoding::Json);
    let Some(claims) = claims else { return refused };
    if trailers.iter().count() != count {
        return refused;
    }
    let is_kept = |(name, _): &(&[u8], &[u8])| !claims.include(name);
    let kept: Vec<_> = trailers.iter().filter(is_kept).collect();
    if kept.len() == count { Effect::Pass } else { Effect::StripTrailers(kept) }
}
