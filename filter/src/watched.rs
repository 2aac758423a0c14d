//! What the filter remembers of streams: which responses it watches, and what
//! it needs to judge them, for the response phase cannot read the request.
//!
//! A stream that ends without a response (the client left) is not heard of
//! again. So the memory is bounded by age: when many streams have come and not
//! been answered, those that came before them are forgotten. A 404 of a
//! forgotten stream passes as it is.

use std::collections::BTreeMap;

use discovery_map::DocumentForm;
use routing::merged::Client as Reader;
use routing::status::Encoding;

/// How many unanswered streams it takes until older ones are forgotten; a
/// worker holds at most twice as many.
const GENERATION: usize = 16 * 1024;

/// What a response is watched for.
#[derive(Debug)]
pub(crate) enum Watch {
    /// A 404 that could be wrong.
    NotFound(NotFound),
    /// A server was asked whether the client may have a merged document.
    Document(Wanted),
    /// A 404 is held back until its body tells what it is.
    Body(Held),
    /// A 404 is held back until the companion has answered.
    Asked(Asked),
}

/// What to do about a type-level 404.
#[derive(Debug)]
pub(crate) struct NotFound {
    /// What the client asked for: plain text says nothing of it.
    pub(crate) encoding: Encoding,
    /// The request's `:path`, if the companion is asked about it first.
    pub(crate) ask: Option<Box<[u8]>>,
}

/// A merged document that a client is waiting for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The document's path and form. The map may be another one by the time
    /// that the server has answered, and its document is as good.
    pub(crate) path: Box<[u8]>,
    pub(crate) form: DocumentForm,
    pub(crate) reader: Reader,
    pub(crate) encoding: Encoding,
}

/// A response that is held back.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) not_found: NotFound,
    pub(crate) content_type: Vec<u8>,
    /// In bytes, where the server said so.
    pub(crate) content_length: Option<usize>,
}

/// A stream that waits for the companion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) encoding: Encoding,
    /// Whether the original answer passes if there is none of the companion.
    pub(crate) passes_unanswered: bool,
}

/// What is remembered by a number of the host's, which never comes again: the
/// watched streams by their context, and the streams that wait for the
/// companion by the token of their question.
#[derive(Debug)]
pub(crate) struct Aged<T> {
    young: BTreeMap<u32, T>,
    old: BTreeMap<u32, T>,
}

impl<T> Aged<T> {
    pub(crate) const fn new() -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, number: u32, value: T) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(number, value);
    }

    pub(crate) fn take(&mut self, number: u32) -> Option<T> {
        self.young.remove(&number).or_else(|| self.old.remove(&number))
    }
}
