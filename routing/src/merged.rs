//! Merged documents: what every client sees of discovery, whichever server
//! answers.
//!
//! ```text
//!  request ─ path, Accept ─► AccessCheck ─► a server: may this client read it?
//!                                            │
//!  200 or 304 ◄─ Answer: the merged document ◄┴─ 200 or 304; all else passes
//! ```
//!
//! Authorization stays with the server: the document is sent only to whom it
//! would have sent its own.

mod answer;
mod etag;

use discovery_map::{
    ACCEPT_AGGREGATED_DISCOVERY, ACCEPT_JSON, DiscoveryMap, DocumentForm, MergedEntry,
};

use crate::accept::{self, Offer};
use crate::{RequestPath, Target};
use etag::quoted;

pub use answer::{MergedAnswer, ReadOptions};

/// What a client sends that is about the document which it gets, and not about
/// that of the server: the server is asked for its own.
pub const CLIENTS_OWN: [&[u8]; 6] =
    [b"accept", b"accept-encoding", b"if-modified-since", b"if-none-match", b"if-range", b"range"];

/// Whether a client may read a merged document, as a request to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessCheck<'m> {
    /// The document.
    pub entry: MergedEntry<'m>,
    /// The value of `Accept`.
    pub accept: &'static str,
}

impl AccessCheck<'_> {
    /// The value of `If-None-Match`. A server compares the whole of it.
    #[must_use]
    pub fn if_none_match(&self) -> Option<String> {
        self.entry.peer_etag.map(quoted)
    }
}

/// The path of a merged document, as the map has it.
#[must_use]
pub fn document_path<'p>(path: &'p RequestPath<'_>) -> &'p [u8] {
    path.trimmed()
}

/// What to ask before the client gets a merged document. `None` if there is
/// none of what it wants; then a server answers by itself. `target` is the
/// path's own.
#[must_use]
pub fn access_check<'m>(
    path: &RequestPath<'_>,
    target: &Target<'_>,
    accept: &[u8],
    map: &'m DiscoveryMap,
) -> Option<AccessCheck<'m>> {
    if map.has_no_documents() {
        return None;
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
    let entry = map.document(name, accept::json_form(accept, offer)?)?;
    Some(AccessCheck {
        entry,
        accept: if is_root { ACCEPT_AGGREGATED_DISCOVERY } else { ACCEPT_JSON },
    })
}

#[cfg(test)]
mod tests;
