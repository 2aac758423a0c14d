//! A merged document as the filter keeps it: compressed, as the map has it. The
//! JSON, and the other encodings, are made when a client first asks for them.
//!
//! So encodings cannot disagree, a document travels once, and a worker holds
//! only what its clients read. What was made stays as long as the document: maps
//! that have the same one share it (see `Documents`).

use std::cell::OnceCell;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

/// How a discovery document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentEncoding {
    /// JSON in one line, as the map has it.
    Json,
    /// JSON for human readers, two spaces a level.
    IndentedJson,
    /// YAML.
    Yaml,
    /// Kubernetes' protobuf.
    Protobuf,
}

/// One document in one encoding.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    size: usize,
    /// At least one of these two is there.
    plain: OnceCell<Vec<u8>>,
    gzip: OnceCell<Vec<u8>>,
    /// The encodings that are made of this one, in the order of their variants.
    made: [OnceCell<Option<Box<Content>>>; DocumentEncoding::ALL.len() - 1],
}

impl DocumentEncoding {
    /// Every encoding, in their order.
    pub const ALL: [Self; 4] = [Self::Json, Self::IndentedJson, Self::Yaml, Self::Protobuf];
}

impl From<Vec<u8>> for Content {
    /// A document that does not come with a map, or an encoding of one that does.
    fn from(plain: Vec<u8>) -> Self {
        Self { size: plain.len(), plain: plain.into(), ..Self::default() }
    }
}

impl Content {
    /// Reads a document that comes with a map: a gzip file, whose content has `size` bytes.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn from_gzip(gzip: Vec<u8>, size: usize) -> Result<Self, String> {
        check(&gzip, size)?;
        Ok(Self { size, gzip: gzip.into(), ..Self::default() })
    }

    /// Returns the size of the document, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the document. What comes with a map is unpacked when it is first asked for.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        self.plain.get_or_init(|| {
            let mut plain = Vec::with_capacity(self.size);
            // It was read to its end when the map came.
            drop(GzDecoder::new(self.gzip()).read_to_end(&mut plain));
            plain
        })
    }

    /// Returns the document, compressed by gzip. What does not come with the map is compressed when
    /// it is first asked for, on the level of kube-apiserver, which takes the least time.
    #[must_use]
    pub fn gzip(&self) -> &[u8] {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
            // Writing to memory does not fail.
            drop(encoder.write_all(self.plain.get().map(Vec::as_slice).unwrap_or_default()));
            encoder.finish().unwrap_or_default()
        })
    }

    /// Returns this document in another encoding. Calls `make` with the JSON the first time, and
    /// keeps what it returns; `None` if it cannot be made.
    pub fn encoded(
        &self,
        encoding: DocumentEncoding,
        make: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<&Self> {
        let Some(slot) = (encoding as usize).checked_sub(1) else { return Some(self) };
        let made = self.made.get(slot)?.get_or_init(|| Some(Box::new(make(self.plain())?.into())));
        made.as_deref()
    }
}

/// Reads a gzip file to its end, and keeps nothing of it.
fn check(gzip: &[u8], size: usize) -> Result<(), String> {
    let expected = u64::try_from(size).unwrap_or(u64::MAX);
    let mut decoder = GzDecoder::new(gzip).take(expected.saturating_add(1));
    let unpacked =
        std::io::copy(&mut decoder, &mut std::io::sink()).map_err(|error| error.to_string())?;
    if unpacked != expected {
        return Err(format!("must unpack to {size} bytes, as `size` states"));
    }
    // The client would get the trailing data as well.
    if decoder.into_inner().into_inner().is_empty() {
        Ok(())
    } else {
        Err("has trailing data".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        Content::from(plain.to_vec()).gzip().to_vec()
    }

    #[test]
    fn a_document_of_a_map_is_unpacked_once() {
        let content = Content::from_gzip(packed(b"{}"), 2).unwrap();
        assert_eq!((content.size(), content.plain.get()), (2, None));
        assert_eq!(content.plain(), b"{}");
        assert!(std::ptr::eq(content.plain(), content.plain()));
    }

    #[test]
    fn an_encoding_is_made_once_and_json_never() {
        let gzip = packed(b"{}");
        let content = Content::from_gzip(gzip.clone(), 2).unwrap();
        let json = content.encoded(DocumentEncoding::Json, |_| unreachable!()).unwrap();
        assert!(std::ptr::eq(json, &raw const content) && json.gzip() == gzip);
        for encoding in &DocumentEncoding::ALL[1..] {
            let made = content.encoded(*encoding, |json| Some([json, b"+"].concat())).unwrap();
            assert_eq!(made.plain(), b"{}+");
            let mut unpacked = Vec::new();
            GzDecoder::new(made.gzip()).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, made.plain());
            let again = content.encoded(*encoding, |_| unreachable!()).unwrap();
            assert!(std::ptr::eq(made, again));
        }
    }

    #[test]
    fn an_encoding_that_cannot_be_made_is_not_tried_again() {
        let content = Content::from(b"[]".to_vec());
        assert_eq!(content.encoded(DocumentEncoding::Yaml, |_| None), None);
        assert_eq!(content.encoded(DocumentEncoding::Yaml, |_| unreachable!()), None);
    }
}
