//! A merged document as the filter keeps it: the JSON that the map has, and the
//! other encodings, each made of that JSON when a client first asks for it.
//!
//! So encodings cannot disagree, a document travels once, and a worker holds
//! only what its clients read. What was made stays as long as the document: a
//! push that does not change it shares it (see `Documents`).

use std::cell::OnceCell;
use std::io::Write;

use flate2::Compression;
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

/// One document in one encoding, ready to be sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    plain: Vec<u8>,
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
        Self { plain, ..Self::default() }
    }
}

impl Content {
    /// A document that comes with a map: the JSON, and the same compressed by gzip.
    #[must_use]
    pub fn new(plain: Vec<u8>, gzip: Vec<u8>) -> Self {
        Self { plain, gzip: gzip.into(), made: Default::default() }
    }

    /// Returns the document.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// Returns the document, compressed by gzip. What does not come with the map is compressed when
    /// it is first asked for, on the level of kube-apiserver, which takes the least time.
    #[must_use]
    pub fn gzip(&self) -> &[u8] {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
            // Writing to memory does not fail.
            drop(encoder.write_all(&self.plain));
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
        let made = self.made.get(slot)?.get_or_init(|| Some(Box::new(make(&self.plain)?.into())));
        made.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_encoding_is_made_once_and_json_never() {
        let content = Content::new(b"{}".to_vec(), b"gzip".to_vec());
        let json = content.encoded(DocumentEncoding::Json, |_| unreachable!()).unwrap();
        assert!(std::ptr::eq(json, &raw const content) && json.gzip() == b"gzip");
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
        let content = Content::new(b"[]".to_vec(), Vec::new());
        assert_eq!(content.encoded(DocumentEncoding::Yaml, |_| None), None);
        assert_eq!(content.encoded(DocumentEncoding::Yaml, |_| unreachable!()), None);
    }
}
