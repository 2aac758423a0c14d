//! Merged documents with what a server lists and the map does not know yet, each
//! made once for each of the server's documents.
//!
//! They belong to a map: the next one knows what was added.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use discovery_map::{Content, MergedDocument};
use routing::merged;

/// The last extension of each merged document, by the document's index.
#[derive(Debug, Default)]
pub(crate) struct Extensions(RefCell<BTreeMap<usize, Rc<Extension>>>);

/// What a server's document makes of a merged one.
#[derive(Debug)]
pub(crate) struct Extension {
    /// What tells the server's document from others: its `ETag`, or else itself.
    of: Vec<u8>,
    /// `None` if the server's document adds nothing.
    pub(crate) extended: Option<(MergedDocument, Content)>,
}

/// A server's own document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a> {
    pub(crate) etag: Option<&'a [u8]>,
    pub(crate) body: &'a [u8],
}

impl Extensions {
    /// Returns what the server's document with this `ETag` or, without one, this body makes of the
    /// merged document at `index`; `None` if that is not known yet.
    pub(crate) fn known(&self, index: usize, of: &[u8]) -> Option<Rc<Extension>> {
        let extensions = self.0.borrow();
        extensions.get(&index).filter(|known| known.of == of).map(Rc::clone)
    }

    /// Returns what the server's document makes of the merged one.
    pub(crate) fn make(
        &self,
        index: usize,
        (document, content): (&MergedDocument, &Content),
        own: Own<'_>,
    ) -> Rc<Extension> {
        let of = own.etag.unwrap_or(own.body);
        if let Some(known) = self.known(index, of) {
            return known;
        }
        let etag = own.etag.unwrap_or_default();
        let extended = merged::extended(document, content, (etag, own.body));
        let made = Rc::new(Extension { of: of.to_vec(), extended });
        self.0.borrow_mut().insert(index, Rc::clone(&made));
        made
    }
}
