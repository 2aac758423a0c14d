//! The form in which a merged document travels: JSON, compressed by gzip, in
//! base64. The companion packs, the filter reads it when a map comes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write;
use std::rc::{Rc, Weak};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use crate::content::Content;
use crate::fault::Faults;

/// The content of a merged document as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Its position in the map's list, for messages.
    pub position: usize,
    /// The size of the JSON, in bytes.
    pub size: usize,
    /// The gzip file in base64.
    pub gzip: String,
}

/// Packs one document, whose JSON comes in pieces. Equal content makes equal
/// bytes: the gzip file has no name and no time.
#[derive(Debug)]
pub struct Packer(GzEncoder<Vec<u8>>);

/// The documents of a map, in its order.
#[derive(Debug, Default)]
pub struct Documents(Vec<Rc<Content>>);

/// The documents of all maps in one place, each once.
#[derive(Debug, Default)]
pub struct Library(RefCell<Shelves>);

/// By the hashes of their gzip files. A document leaves with the last map that has it.
#[derive(Debug, Default)]
struct Shelves {
    shelves: BTreeMap<u64, Vec<Weak<Content>>>,
    /// How many shelves there may be before those without documents are removed.
    limit: usize,
}

impl Default for Packer {
    fn default() -> Self {
        Self(GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6)))
    }
}

impl Packer {
    /// Adds a piece of the JSON.
    pub fn add(&mut self, piece: &[u8]) {
        // Writing to memory does not fail.
        drop(self.0.write_all(piece));
    }

    /// The gzip file in base64, as in [`MergedDocument::gzip`](crate::MergedDocument::gzip).
    #[must_use]
    pub fn finish(self) -> String {
        STANDARD.encode(self.0.finish().unwrap_or_default())
    }
}

impl Documents {
    /// Reads all documents of a map. Shares what the `library` has already: most
    /// pushes change no document, or one, and many control planes have the same.
    ///
    /// # Errors
    /// The first document that is not a gzip file, or does not have the size
    /// that the map says. It depends on `packed` alone.
    pub fn read(packed: Vec<Packed>, library: &Library) -> Result<Self, Faults> {
        packed.into_iter().map(|packed| library.content(packed)).collect::<Result<_, _>>().map(Self)
    }

    /// The document at this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Content> {
        self.0.get(index).map(Rc::as_ref)
    }
}

impl Library {
    fn content(&self, packed: Packed) -> Result<Rc<Content>, Faults> {
        let place = format!("documents[{}].gzip", packed.position);
        let error = |problem: String| Faults::one(&place, problem);
        let gzip = STANDARD.decode(packed.gzip).map_err(|source| error(source.to_string()))?;
        let mut hasher = DefaultHasher::new();
        gzip.hash(&mut hasher);
        let hash = hasher.finish();
        let known = self.0.borrow().find(hash, &gzip, packed.size);
        if let Some(known) = known {
            return Ok(known);
        }
        let new = Rc::new(Content::from_gzip(gzip, packed.size).map_err(error)?);
        self.0.borrow_mut().add(hash, &new);
        Ok(new)
    }
}

impl Shelves {
    /// Equal hashes are not enough: a client must not get another map's document.
    fn find(&self, hash: u64, gzip: &[u8], size: usize) -> Option<Rc<Content>> {
        let known = self.shelves.get(&hash)?.iter().filter_map(Weak::upgrade);
        known.into_iter().find(|known| known.size() == size && known.gzip() == gzip)
    }

    fn add(&mut self, hash: u64, content: &Rc<Content>) {
        if self.shelves.len() >= self.limit {
            self.shelves.retain(|_, shelf| {
                shelf.retain(|content| content.strong_count() > 0);
                !shelf.is_empty()
            });
            self.limit = self.shelves.len().saturating_mul(2).max(16);
        }
        self.shelves.entry(hash).or_default().push(Rc::downgrade(content));
    }
}

#[cfg(test)]
mod tests;
