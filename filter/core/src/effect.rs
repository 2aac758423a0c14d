//! What is to be done with a stream, as data. Nothing of it has happened yet:
//! `apply` carries effects out, and counts them.

use discovery_map::{DocumentForm, StrictNotFound};
use routing::merged::MergedAnswer;
use routing::status::{Encoding, Refusal};

use crate::forward::Route;
use crate::held::Held;

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
    /// A merged document replaces a server's own.
    SendDocument(DocumentForm, MergedAnswer<'a>),
    /// The response is held back until there is more of its body.
    Hold(Held),
    /// The response is held back until the companion answers whether a type is
    /// really served by nobody.
    Ask {
        /// Whom to ask, and what becomes of the 404 if there is no answer.
        strict: &'a StrictNotFound,
        /// The path and query of the GET.
        query: String,
        /// The encoding of the 503, should it be one.
        encoding: Encoding,
    },
    /// The response that was held back goes on.
    Release,
}
