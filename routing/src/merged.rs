//! Merged documents: what every client sees of discovery, whichever server
//! answers.
//!
//! ```text
//!  request ─ path, Accept ─► Question ─► a server: may this client read it?
//!                                            │
//!  200 or 304 ◄─ Answer: the merged document ◄┴─ 200 or 304; all else passes
//! ```
//!
//! Authorization stays with the server: the document is sent only to whom it
//! would have sent its own.

mod answer;
mod unpack;

use discovery_map::{DiscoveryMap, DocumentForm, MergedEntry};

use crate::accept::{self, Offer};
use crate::{RequestPath, Target};

pub use answer::{Answer, Client};
pub use unpack::{Content, Documents, UnpackError};

/// What the servers are asked on `/api` and `/apis`, whichever form the client
/// gets: that document has an `ETag`. `nopeer` saves a server that merges its
/// peers' types the work. The last ones are for servers before 1.30 and 1.26.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;profile=nopeer;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
     application/json";

const JSON: &str = "application/json";

/// What a client sends that is about the document which it gets, and not about
/// that of the server: the server is asked for its own.
pub const CLIENTS_OWN: [&[u8]; 6] =
    [b"accept", b"accept-encoding", b"if-modified-since", b"if-none-match", b"if-range", b"range"];

/// Whether a client may read a merged document, as a request to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'m> {
    /// The document.
    pub entry: MergedEntry<'m>,
    /// The value of `Accept`.
    pub accept: &'static str,
}

impl Question<'_> {
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
pub fn question<'m>(
    path: &RequestPath<'_>,
    target: &Target<'_>,
    accept: &[u8],
    map: &'m DiscoveryMap,
) -> Option<Question<'m>> {
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
    Some(Question { entry, accept: if is_root { AGGREGATED } else { JSON } })
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

#[cfg(test)]
mod tests;
