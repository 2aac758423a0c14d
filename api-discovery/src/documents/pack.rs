//! The form in which a document travels to the filter: gzip in base64.

use std::sync::Arc;

use discovery_map::Packer as Codec;
use ring::digest::{Context, SHA512};

use super::Content;

/// Compresses, and remembers what it compressed last: most documents are the
/// same from one map to the next.
#[derive(Debug, Default)]
pub struct Packer {
    last: Vec<Packed>,
    next: Vec<Packed>,
}

/// A document that is ready to travel.
#[derive(Clone, Debug)]
pub struct Packed {
    /// SHA-512 of the content in upper-case hexadecimal, as kube-apiserver's
    /// `ETag`s are.
    pub etag: Arc<str>,
    /// gzip in base64.
    pub gzip: Arc<str>,
}

impl Packer {
    /// Compresses a document.
    pub fn pack(&mut self, content: &Content) -> Packed {
        let etag = etag(content);
        let known = self.next.iter().chain(&self.last).find(|packed| *packed.etag == etag);
        let packed = known
            .cloned()
            .unwrap_or_else(|| Packed { etag: etag.into(), gzip: gzip(content).into() });
        self.next.push(packed.clone());
        packed
    }

    /// One map is done: what it did not need is forgotten.
    pub fn turn(&mut self) {
        self.last = std::mem::take(&mut self.next);
    }
}

fn etag(content: &Content) -> String {
    let mut context = Context::new(&SHA512);
    content.pieces(|piece| context.update(piece.as_bytes()));
    context.finish().as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn gzip(content: &Content) -> String {
    let mut packer = Codec::default();
    content.pieces(|piece| packer.add(piece.as_bytes()));
    packer.finish()
}
