//! Merged documents, packed for the filter: gzip in base64.

use std::sync::Arc;

use super::content::MergedText;
use crate::packing::{etag, gzip};

/// Packs documents, and remembers those of the last map: most documents are the
/// same from one map to the next.
#[derive(Debug, Default)]
pub struct PackCache {
    last_map: Vec<PackedText>,
    this_map: Vec<PackedText>,
}

/// A document that is packed.
#[derive(Clone, Debug)]
pub struct PackedText {
    /// SHA-512 of the content in upper-case hexadecimal, as kube-apiserver's `ETag`s are.
    pub etag: Arc<str>,
    /// gzip in base64.
    pub gzip: Arc<str>,
}

impl PackCache {
    /// Packs a document of this map.
    pub fn pack(&mut self, content: &MergedText) -> PackedText {
        let pieces = || content.pieces().map(str::as_bytes);
        let etag = etag(pieces());
        let known = self.this_map.iter().chain(&self.last_map).find(|packed| *packed.etag == etag);
        let packed = known
            .cloned()
            .unwrap_or_else(|| PackedText { etag: etag.into(), gzip: gzip(pieces()).into() });
        self.this_map.push(packed.clone());
        packed
    }

    /// Ends this map. Forgets the documents that it does not have.
    pub fn end_map(&mut self) {
        self.last_map = std::mem::take(&mut self.this_map);
    }
}
