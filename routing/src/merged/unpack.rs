//! From what travels to what is sent: once, when a map comes.

use std::io::Read;
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use discovery_map::Packed;
use flate2::bufread::GzDecoder;

/// A document of a map cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackError {
    position: usize,
    problem: String,
}

impl std::fmt::Display for UnpackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "documents[{}].gzip: {}", self.position, self.problem)
    }
}

impl std::error::Error for UnpackError {}

/// One document, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    plain: Vec<u8>,
    gzip: Vec<u8>,
}

/// The documents of a map, in its order.
#[derive(Debug, Default)]
pub struct Documents(Vec<Rc<Content>>);

impl Documents {
    /// Unpacks all documents of a map. What `previous` has already, it shares:
    /// most pushes change none or one.
    ///
    /// # Errors
    /// The first document that is no gzip file, or is not of the size that the
    /// map says. It depends on `packed` alone.
    pub fn unpack(packed: Vec<Packed>, previous: &Self) -> Result<Self, UnpackError> {
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

    fn content(&self, packed: Packed) -> Result<Rc<Content>, UnpackError> {
        let error = |problem| UnpackError { position: packed.position, problem };
        let gzip = STANDARD.decode(packed.gzip).map_err(|source| error(source.to_string()))?;
        let same = |known: &&Rc<Content>| known.gzip == gzip && known.plain.len() == packed.size;
        if let Some(known) = self.0.iter().find(same) {
            return Ok(Rc::clone(known));
        }
        let plain = inflate(&gzip, packed.size).map_err(error)?;
        Ok(Rc::new(Content { plain, gzip }))
    }
}

impl Content {
    /// The JSON.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// The same, compressed.
    #[must_use]
    pub fn gzip(&self) -> &[u8] {
        &self.gzip
    }
}

/// Never has more than `size` bytes and one in hand.
fn inflate(gzip: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let limit = u64::try_from(size).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::with_capacity(size.saturating_add(1));
    let mut decoder = GzDecoder::new(gzip).take(limit);
    decoder.read_to_end(&mut plain).map_err(|error| error.to_string())?;
    if plain.len() != size {
        return Err(format!("does not have the {size} bytes that `size` says"));
    }
    // The client would get this as well.
    match decoder.into_inner().into_inner() {
        [] => Ok(plain),
        _ => Err("has something behind its end".to_owned()),
    }
}
