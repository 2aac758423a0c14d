//! What the filter reads of a request's headers, and what it passes on.

use discovery_map::{CLUSTER_HEADER, FRONT_PROXY_SUFFIX, IdentityHeaders};
use identity::{Subject, connection, is_claim};
use routing::merged::{AccessCheck, CLIENTS_OWN, ReadOptions};
use routing::status::Encoding;

use crate::headers::Headers;
use crate::host::{self, Map};

/// Envoy sets it, and removes a client's own, where it verified a certificate
/// (`forward_client_cert_details: SANITIZE_SET`). It saves the question about a
/// certificate for clients that have none; what it says is not read.
const CERTIFICATE_HINT: &[u8] = b"x-forwarded-client-cert";

/// A request before it is routed.
#[derive(Debug)]
pub(crate) struct Request<'h> {
    headers: &'h Headers,
    names: &'h IdentityHeaders,
    method: &'h [u8],
    pub(crate) path: &'h [u8],
    /// The first of the name, as kube-apiserver reads it; so the next two.
    pub(crate) accept: &'h [u8],
    accept_encoding: Option<&'h [u8]>,
    if_none_match: Option<&'h [u8]>,
    pub(crate) encoding: Encoding,
    /// Set on upgrades only: Envoy removes it from all other requests.
    connection: Option<&'h [u8]>,
    may_have_certificate: bool,
    /// Whether it has headers that are not a client's to send.
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
    /// Reads all headers in one pass. Every request has a method and a path:
    /// without them the host handed nothing over, and what the client claims
    /// is not known.
    pub(crate) fn read(headers: &'h Headers, names: &'h IdentityHeaders) -> Option<Self> {
        let mut request = Self {
            headers,
            names,
            method: b"",
            path: b"",
            accept: b"",
            accept_encoding: None,
            if_none_match: None,
            encoding: Encoding::Json,
            connection: None,
            may_have_certificate: false,
            has_claims: false,
        };
        let mut accept = None;
        for (name, value) in headers.iter() {
            match name {
                b":method" => request.method = value,
                b":path" => request.path = value,
                b"accept" => accept = accept.or(Some(value)),
                b"accept-encoding" => {
                    request.accept_encoding = request.accept_encoding.or(Some(value));
                }
                b"if-none-match" => request.if_none_match = request.if_none_match.or(Some(value)),
                b"connection" => request.connection = Some(value),
                CERTIFICATE_HINT => request.may_have_certificate = true,
                _ => request.has_claims |= is_claim(name, names),
            }
        }
        request.accept = accept.unwrap_or_default();
        request.encoding = Encoding::from_accept(request.accept);
        (!request.method.is_empty() && !request.path.is_empty()).then_some(request)
    }

    /// Whether it can be answered by a document.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self.method, b"GET" | b"HEAD")
    }

    /// What is to be remembered for a document that it is answered by.
    pub(crate) fn reader(&self) -> ReadOptions {
        ReadOptions::new(self.if_none_match, self.accept_encoding.unwrap_or_default())
    }

    /// Who the client's certificate says it is.
    ///
    /// # Errors
    /// Why that cannot be told to a server.
    pub(crate) fn client(&self) -> Result<ClientIdentity, String> {
        let certificate = self.may_have_certificate.then(host::client_certificate).flatten();
        let Some(certificate) = certificate else { return Ok(ClientIdentity::Unverified) };
        if !self.names.front_proxy {
            return Err("client certificates are not accepted here".to_owned());
        }
        let identity = Subject::parse(&certificate.subject)
            .and_then(|subject| subject.headers(&certificate.sha256, self.names));
        identity.map(ClientIdentity::Verified).map_err(|error| error.to_string())
    }

    /// Sends the request to this cluster, or to the route's own, as `client`;
    /// if there is a question, as this: whether the host did.
    pub(crate) fn forward(
        &self,
        client: &ClientIdentity,
        cluster: Option<&str>,
        default_cluster: &str,
        question: Option<&AccessCheck<'_>>,
    ) -> bool {
        match client {
            ClientIdentity::Unverified if question.is_none() && self.passes_as_it_is() => {
                cluster.is_none_or(host::route_to)
            }
            ClientIdentity::Unverified => self.replace(cluster, &[], question),
            ClientIdentity::Verified(identity) => {
                let twin = [cluster.unwrap_or(default_cluster), FRONT_PROXY_SUFFIX].concat();
                self.replace(Some(&twin), identity, question)
            }
        }
    }

    fn passes_as_it_is(&self) -> bool {
        !self.has_claims && !self.may_have_certificate && self.connection.is_none()
    }

    fn replace(
        &self,
        cluster: Option<&str>,
        identity: &[(String, String)],
        question: Option<&AccessCheck<'_>>,
    ) -> bool {
        let kept = |name: &[u8]| {
            name != b"connection"
                && !is_claim(name, self.names)
                && !(question.is_some() && CLIENTS_OWN.contains(&name))
        };
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| kept(name)).collect();
        let connection = self.connection.and_then(connection::sanitized);
        headers.extend(connection.map(|value| (&b"connection"[..], value.as_bytes())));
        headers.extend(identity.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        headers.extend(cluster.map(|name| (CLUSTER_HEADER.as_bytes(), name.as_bytes())));
        headers.extend(question.map(|question| (&b"accept"[..], question.accept.as_bytes())));
        let etag = question.and_then(AccessCheck::if_none_match);
        headers.extend(etag.as_deref().map(|etag| (&b"if-none-match"[..], etag.as_bytes())));
        Map::RequestHeaders.replace(&headers)
    }
}

/// Removes from a request's trailers, of which there are so many, what is not a
/// client's to send: whether none of that is left.
pub(crate) fn clean_trailers(count: usize, names: &IdentityHeaders) -> bool {
    let trailers = Map::RequestTrailers.get();
    if trailers.iter().count() != count {
        return false;
    }
    let kept: Vec<_> = trailers.iter().filter(|(name, _)| !is_claim(name, names)).collect();
    kept.len() == count || Map::RequestTrailers.replace(&kept)
}
