//! Merged documents with what a server lists and the map does not know yet, made
//! once for each of the servers' last documents.
//!
//! They belong to a map: the next one knows what was added. Servers decide how large they are, so
//! they are bounded too; one that is not kept is made anew for each client.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use discovery_map::{Content, MergedDocument};
use routing::merged;

use crate::allotment::Allotment;

/// How many extensions are kept of a document: servers can differ, and be asked in turns.
const MOST: usize = 4;

/// The last extensions of each merged document, by the document's index.
#[derive(Debug)]
pub(crate) struct Extensions {
    made: RefCell<Made>,
    allotment: Allotment,
}

type Made = BTreeMap<usize, VecDeque<Rc<Extension>>>;

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

impl Extension {
    /// Returns how much of the VM's memory it takes, before a client asks for another encoding.
    fn size(&self) -> usize {
        self.extended.as_ref().map_or(0, |(_, content)| content.size())
    }
}

impl Extensions {
    pub(crate) fn new(allotment: Allotment) -> Self {
        Self { made: RefCell::default(), allotment }
    }

    /// Returns what a server's document makes of the merged document at `index`; `None` if that is
    /// not known yet.
    pub(crate) fn known(&self, index: usize, own: &Own) -> Option<Rc<Extension>> {
        let extensions = self.made.borrow();
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
        let mut extensions = self.made.borrow_mut();
        let last = extensions.entry(index).or_default();
        if last.len() >= MOST {
            last.pop_front();
        }
        last.push_back(Rc::clone(&made));
        self.allotment.set(size(&extensions));
        if self.allotment.is_exceeded() {
            extensions.clear();
            self.allotment.set(0);
        }
        made
    }
}

fn size(extensions: &Made) -> usize {
    extensions.values().flatten().map(|extension| extension.size()).sum()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use discovery_map::DocumentForm;

    use super::*;
    use crate::allotment::{MANY_BYTES, OWN_BYTES};

    /// Returns a document of a server with this many bytes at least.
    fn own(size: usize) -> String {
        format!("{{\"items\":[{{\"metadata\":{{\"name\":\"{}\"}}}}]}}", "g".repeat(size))
    }

    #[test]
    fn what_is_too_large_is_made_but_not_kept() {
        let document = MergedDocument {
            path: "/apis".to_owned(),
            form: DocumentForm::AggregatedV2,
            etag: None,
            set: 0,
            peer_etag: None,
            size: 1,
            gzip: String::new(),
        };
        let content = Content::from(b"{\"items\":[]}".to_vec());
        let all = Rc::new(Cell::new(MANY_BYTES));
        let extensions = Extensions::new(Allotment::of(&all));
        for (size, is_kept) in [(10, true), (OWN_BYTES, false), (11, true)] {
            let own = (Own::Hash(size as u64), own(size));
            let made = extensions.make(0, (&document, &content), (own.0.clone(), own.1.as_bytes()));
            assert!(made.extended.as_ref().unwrap().1.size() > size);
            assert_eq!(extensions.known(0, &own.0).is_some(), is_kept, "{size}");
        }
    }
}
