//! Merged documents: what every client sees of discovery, whichever server
//! answers.
//!
//! ```text
//!  request ─ path, Accept ─► AccessCheck ─► a server: may this client read it?
//!                                                  │
//!  200 or 304 ◄─ MergedAnswer: the document ◄──────┼─ 200 or 304; all else passes
//!                     └─ what it adds ◄────────────┴─ 200 with another document than the map's
//! ```
//!
//! Authorization stays with the server: a client gets the merged document only
//! if the server would have sent it its own.

mod additions;
mod answer;
mod openapi_answer;

use discovery_map::{
    ACCEPT_AGGREGATED_DISCOVERY, ACCEPT_JSON, Content, Destination, DiscoveryMap, DocumentEncoding,
    DocumentForm, MergedDocument, MergedEntry,
};

use crate::accept::{self, Negotiated, Offer};
use crate::indentation;
use crate::openapi_accept;
use crate::path::RequestPath;
use crate::target::Target;
use answer::quoted;

pub use answer::{MergedAnswer, ReadOptions};

/// Request headers about the document that the client gets. An access check
/// asks a server for its own document, so these do not go on.
pub const CLIENTS_OWN: [&[u8]; 6] =
    [b"accept", b"accept-encoding", b"if-modified-since", b"if-none-match", b"if-range", b"range"];

/// The request that asks a server whether the client may read a merged document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessCheck<'m> {
    /// The document.
    pub document: &'m MergedDocument,
    /// Where the server is.
    pub destination: Destination<'m>,
    /// The value of `Accept`.
    pub accept: &'static str,
    /// The encoding that the client gets.
    pub encoding: DocumentEncoding,
}

impl AccessCheck<'_> {
    /// Returns the value of `:path`, if it is not the client's own. To a server, the hash of a
    /// merged document is a wrong one, which it answers by a redirection.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        openapi_answer::is_for(self.document).then_some(&self.document.path)
    }

    /// The value of `If-None-Match`. A server compares the whole of it.
    #[must_use]
    pub fn if_none_match(&self) -> Option<String> {
        self.document.peer_etag.as_deref().map(quoted)
    }
}

/// The check before the client gets a merged document; `None` if the map has no
/// document in the form that the client wants, so that a server answers by
/// itself. `target` is the path's own; the headers are `Accept` and `User-Agent`.
#[must_use]
pub(crate) fn access_check<'m>(
    path: &RequestPath<'_>,
    target: &Target<'_>,
    (accept, user_agent): (&[u8], &[u8]),
    map: &'m DiscoveryMap,
) -> Option<AccessCheck<'m>> {
    if map.has_no_documents() {
        return None;
    }
    if let Target::OpenApiV3 { .. } = target {
        // With a slash at its end, the path is an unknown one.
        let form = openapi_accept::form(accept)?;
        let MergedEntry { document, destination, .. } = map.document(path.decoded(), form)?;
        let encoding = DocumentEncoding::Json;
        return Some(AccessCheck { document, destination, accept: ACCEPT_JSON, encoding });
    }
    let name = path.trimmed();
    let is_root = matches!(name, b"/api" | b"/apis");
    let offer = match target {
        Target::Discovery if is_root => {
            let v2beta1 = map.document(name, DocumentForm::AggregatedV2beta1).is_some();
            Offer::Aggregated { v2beta1 }
        }
        // The index of OpenAPI v3 is not negotiated.
        Target::Discovery => Offer::JsonOnly,
        Target::Group(_) | Target::GroupVersion { .. } => Offer::Plain,
        _ => return None,
    };
    let is_routed = name == b"/api" || matches!(target, Target::GroupVersion { .. });
    if is_routed && !accept::passes_router(accept) {
        return None;
    }
    let indents = indentation::is_wanted(path.query(), user_agent);
    let Negotiated { form, encoding } = accept::negotiate(accept, offer, indents)?;
    let MergedEntry { document, destination, .. } = map.document(name, form)?;
    let is_aggregated = document.form != DocumentForm::Plain;
    let accept = if is_aggregated { ACCEPT_AGGREGATED_DISCOVERY } else { ACCEPT_JSON };
    Some(AccessCheck { document, destination, accept, encoding })
}

/// Returns the merged document in the client's encoding. `peer` is the headers of the server that
/// let the client read. `None` if the document cannot be encoded; each document of the companion can.
#[must_use]
pub fn answer<'a>(
    options: &ReadOptions<'_>,
    document: &MergedDocument,
    content: &'a Content,
    peer: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Option<MergedAnswer<'a>> {
    if openapi_answer::is_for(document) {
        Some(openapi_answer::answer(options, document, content, peer))
    } else {
        options.answer(document, content, peer)
    }
}

/// Returns whether a server's own document can list what the merged one does not list yet. A
/// document below `/openapi/v3/` is merged only if it is built into the servers.
#[must_use]
pub fn can_be_extended(document: &MergedDocument) -> bool {
    !openapi_answer::is_for(document)
}

/// Returns whether a server's own document, by its `ETag`, is the one that the merged document was
/// made of. Without an `ETag`, nobody knows.
#[must_use]
pub fn is_known(document: &MergedDocument, own_etag: &[u8]) -> bool {
    document.peer_etag.as_deref().is_some_and(|etag| quoted(etag).as_bytes() == own_etag)
}

/// Returns the merged document and what only `own`, a server's document, lists. `None` if that is
/// nothing, or `own` is not a document of that kind. `own_etag` is the value of the server's `ETag`;
/// without one, the document has none either.
#[must_use]
pub fn extended(
    document: &MergedDocument,
    content: &Content,
    (own_etag, own): (Option<&[u8]>, &[u8]),
) -> Option<(MergedDocument, Content)> {
    let (merged, own) = (str::from_utf8(content.plain()).ok()?, str::from_utf8(own).ok()?);
    let whole = additions::with_additions(merged, own)?;
    // Neither part alone says what the document lists.
    let etag = document.etag.as_deref().zip(own_etag.and_then(unquoted));
    let etag = etag.map(|(merged, own)| format!("{merged}.{own}"));
    let document = MergedDocument { etag, ..document.clone() };
    Some((document, Content::from(whole.into_bytes())))
}

/// Returns what is between the quotes of a strong `ETag` (RFC 9110, 8.8.3).
fn unquoted(etag: &[u8]) -> Option<&str> {
    str::from_utf8(etag).ok()?.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests;
