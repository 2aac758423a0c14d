//! What is to be done with a stream, as data. Nothing of it has happened yet:
//! `apply` carries effects out, and counts them.
//!
//! What of a request changes on its way to a server are two separate parts: the
//! identity, which is never left to the client, and the routing.

use discovery_map::{CLUSTER_HEADER, DocumentForm, IdentityHeaders};
use identity::Claims;
use routing::Plan;
use routing::interest::NotFoundChange;
use routing::merged::{AccessCheck, CLIENTS_OWN, MergedAnswer};
use routing::status::{Encoding, Refusal};

use crate::filter::{Held, Observed};
use crate::headers::Headers;

/// What is to be done with a stream.
#[derive(Debug)]
pub(crate) enum Effect<'a> {
    /// It goes on as it is.
    Pass,
    /// The request goes on to a server.
    Route(Route<'a>),
    /// The request's trailers go on without a client's identity headers: these
    /// are left.
    StripTrailers(Vec<(&'a [u8], &'a [u8])>),
    /// The filter answers in a server's stead.
    Refuse(Refusal<'a>, Encoding),
    /// A 503 replaces a type-level 404 that cannot be proved.
    ReplaceNotFound(Encoding),
    /// A type-level 404 goes on, and what the mode withholds of it is counted.
    Withhold(NotFoundChange),
    /// A merged document replaces a server's own.
    SendDocument {
        form: DocumentForm,
        /// Whether it also has what only the server lists.
        is_extended: bool,
        answer: MergedAnswer<'a>,
    },
    /// The response is held back until there is more of its body.
    Hold(Held),
    /// The response goes on, and its body is looked at on the way.
    Observe(Observed),
    /// A server's document is read. It goes no further.
    Read,
    /// There is more of the document to be read; what there was is dropped.
    ReadOn,
    /// A server does not know the type: another one is asked, unless all denied it.
    Doubt,
    /// A server's 404 is true. It passes, and is not judged again.
    Settle,
}

/// A request that goes on.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    /// The headers as the client sent them.
    pub(crate) received: &'a Headers,
    pub(crate) identity: &'a IdentityEdits<'a>,
    /// Where the request goes, and in place of what.
    pub(crate) plan: &'a Plan<'a>,
    /// The encoding of the 503, should the host fail.
    pub(crate) encoding: Encoding,
}

/// What becomes of headers that could say who the client is.
#[derive(Debug)]
pub(crate) struct IdentityEdits<'a> {
    pub(crate) names: &'a IdentityHeaders,
    /// What no client may send.
    pub(crate) claims: &'a Claims,
    /// Whether the client sent anything that must not go on as it is.
    pub(crate) is_needed: bool,
    /// The value of `Connection`, which is written anew.
    pub(crate) connection: Option<&'static str>,
    /// The headers by which the front proxy says who the client is; none if it does
    /// not vouch for it.
    pub(crate) headers: Vec<(String, String)>,
}

impl Route<'_> {
    /// Returns whether all headers must be replaced, and not just the cluster
    /// header be set.
    pub(crate) fn replaces_headers(&self) -> bool {
        self.identity.is_needed || self.plan.access_check.is_some()
    }

    /// Hands the headers that go on to `f`.
    pub(crate) fn with_headers<T>(&self, f: impl FnOnce(&[(&[u8], &[u8])]) -> T) -> T {
        let Self { received, identity, plan, .. } = self;
        let check = plan.access_check.as_ref();
        let kept = |name: &[u8]| {
            name != b"connection"
                && !identity.claims.include(name)
                && !(check.is_some() && CLIENTS_OWN.contains(&name))
        };
        let path = check.and_then(AccessCheck::path).map(str::as_bytes);
        let sent = |(name, value)| match path {
            Some(path) if name == b":path" => (name, path),
            _ => (name, value),
        };
        let received = received.iter().filter(|(name, _)| kept(name));
        let mut headers: Vec<_> = received.map(sent).collect();
        headers.extend(identity.connection.map(|value| (&b"connection"[..], value.as_bytes())));
        let identity = identity.headers.iter();
        headers.extend(identity.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let cluster = plan.cluster();
        headers.extend(cluster.as_deref().map(|name| (CLUSTER_HEADER.as_bytes(), name.as_bytes())));
        headers.extend(check.map(|check| (&b"accept"[..], check.accept.as_bytes())));
        let etag = check.and_then(AccessCheck::if_none_match);
        headers.extend(etag.as_deref().map(|etag| (&b"if-none-match"[..], etag.as_bytes())));
        f(&headers)
    }
}
