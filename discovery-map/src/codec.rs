//! The form in which a merged document travels: JSON, compressed by gzip, in
//! base64. The companion packs, the filter unpacks once, when a map comes.

use std::io::{Read, Write};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::GzDecoder;
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
    /// Unpacks all documents of a map. Shares what `previous` has already:
    /// most pushes change no document, or one.
    ///
    /// # Errors
    /// The first document that is not a gzip file, or does not have the size
    /// that the map says. It depends on `packed` alone.
    pub fn unpack(packed: Vec<Packed>, previous: &Self) -> Result<Self, Faults> {
        packed
            .into_iter()
            .map(|packed| previous.content(packed))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The document at this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Content> {
        self.0.get(index).map(Rc::as_ref)
    }

    fn content(&self, packed: Packed) -> Result<Rc<Content>, Faults> {
        let place = format!("documents[{}].gzip", packed.position);
        let error = |problem: String| Faults::one(&place, problem);
        let gzip = STANDARD.decode(packed.gzip).map_err(|source| error(source.to_string()))?;
        let same =
            |known: &&Rc<Content>| known.gzip() == gzip && known.plain().len() == packed.size;
        if let Some(known) = self.0.iter().find(same) {
            return Ok(Rc::clone(known));
        }
        let plain = inflate(&gzip, packed.size).map_err(error)?;
        Ok(Rc::new(Content::new(plain, gzip)))
    }
}

/// Allocates `size` bytes and one more, whatever the gzip file expands to.
fn inflate(gzip: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::with_capacity(size.saturating_add(1));
    let mut decoder = GzDecoder::new(gzip).take(limit);
    decoder.read_to_end(&mut plain).map_err(|error| error.to_string())?;
    if plain.len() != size {
        return Err(format!("must unpack to {size} bytes, as `size` states"));
    }
    // The client would get the trailing data as well.
    if decoder.into_inner().into_inner().is_empty() {
        Ok(plain)
    } else {
        Err("has trailing data".to_owned())
    }
}

#[cfg(test)]
mod tests;
