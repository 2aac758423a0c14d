//! Merged documents, packed for the filter: gzip in base64.

use std::sync::Arc;

use discovery_map::Packer;
use ring::digest::{Context, SHA512};

use super::content::MergedText;

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
        let etag = etag(content);
        let known = self.this_map.iter().chain(&self.last_map).find(|packed| *packed.etag == etag);
        let packed = known
            .cloned()
            .unwrap_or_else(|| PackedText { etag: etag.into(), gzip: gzip(content).into() });
        self.this_map.push(packed.clone());
        packed
    }

    /// Ends this map. Forgets the documents that it does not have.
    pub fn end_map(&mut self) {
        self.last_map = std::mem::take(&mut self.this_map);
    }
}

fn etag(content: &MergedText) -> String {
    let mut context = Context::new(&SHA512);
    content.pieces().for_each(|piece| context.update(piece.as_bytes()));
    context.finish().as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn gzip(content: &MergedText) -> String {
    let mut packer = Packer::default();
    content.pieces().for_each(|piece| packer.add(piece.as_bytes()));
    packer.finish()
}
