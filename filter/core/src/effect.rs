//! What is to be done with a stream, as data. Nothing of it has happened yet:
//! `apply` carries effects out, and counts them.

use discovery_map::DocumentForm;
use routing::merged::MergedAnswer;
use routing::status::{Encoding, Refusal};

use crate::forward::Route;
use crate::held::{Held, HeldForCompanion};

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
    /// The response is held back until the companion answers.
    Ask(AbsenceQuery<'a>),
    /// The response that was held back goes on.
    Release,
}

/// Whom to ask whether a type is really served by nobody.
#[derive(Debug)]
pub(crate) struct AbsenceQuery<'a> {
    /// The Envoy cluster of the companion.
    pub(crate) cluster: &'a str,
    /// The path and query of the GET.
    pub(crate) path: String,
    pub(crate) timeout_milliseconds: u32,
    /// What becomes of the 404 meanwhile.
    pub(crate) held: HeldForCompanion,
}
