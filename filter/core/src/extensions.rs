//! Merged documents with what a server lists and the map does not know yet, made
//! once for each of the servers' last documents.
//!
//! They belong to a map: the next one knows what was added.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use discovery_map::{Content, MergedDocument};
use routing::merged;

/// How many extensions are kept of a document: servers can differ, and be asked in turns.
const MOST: usize = 4;

/// The last extensions of each merged document, by the document's index.
#[derive(Debug, Default)]
pub(crate) struct Extensions(RefCell<BTreeMap<usize, VecDeque<Rc<Extension>>>>);

/// What a server's document makes of a merged one.
#[derive(Debug)]
pub(crate) struct Extension {
    of: Own,
    /// `None` if the server's document adds nothing.
    pub(crate) extended: Option<(MergedDocument, Content)>,
}

/// What tells a server's document from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// The value of its `ETag`.
    Etag(Vec<u8>),
    /// The hash of a document without one. Whoever could make another document of the same hash
    /// could hide a type until the next map.
    Hash(u64),
}

impl Own {
    pub(crate) fn new(etag: Option<&[u8]>, body: &[u8]) -> Self {
        match etag {
            Some(etag) => Self::Etag(etag.to_vec()),
            None => {
                let mut hasher = DefaultHasher::new();
                body.hash(&mut hasher);
                Self::Hash(hasher.finish())
            }
        }
    }

    fn etag(&self) -> Option<&[u8]> {
        match self {
            Self::Etag(etag) => Some(etag),
            Self::Hash(_) => None,
        }
    }
}

impl Extensions {
    /// Returns what a server's document makes of the merged document at `index`; `None` if that is
    /// not known yet.
    pub(crate) fn known(&self, index: usize, own: &Own) -> Option<Rc<Extension>> {
        let extensions = self.0.borrow();
        extensions.get(&index)?.iter().find(|known| known.of == *own).map(Rc::clone)
    }

    /// Returns what a server's document with this body makes of the merged one.
    pub(crate) fn make(
        &self,
        index: usize,
        (document, content): (&MergedDocument, &Content),
        (own, body): (Own, &[u8]),
    ) -> Rc<Extension> {
        if let Some(known) = self.known(index, &own) {
            return known;
        }
        let extended = merged::extended(document, content, (own.etag(), body));
        let made = Rc::new(Extension { of: own, extended });
        let mut extensions = self.0.borrow_mut();
        let last = extensions.entry(index).or_default();
        if last.len() >= MOST {
            last.pop_front();
        }
        last.push_back(Rc::clone(&made));
        made
    }
}
