//! How a document is named and packed.

use discovery_map::Packer;
use ring::digest::{Context, SHA512};

/// Returns SHA-512 of the content in upper-case hexadecimal, as kube-apiserver's `ETag`s are.
pub(crate) fn etag<'c>(pieces: impl Iterator<Item = &'c [u8]>) -> String {
    let mut context = Context::new(&SHA512);
    pieces.for_each(|piece| context.update(piece));
    context.finish().as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Returns the content compressed by gzip, in base64.
pub(crate) fn gzip<'c>(pieces: impl Iterator<Item = &'c [u8]>) -> String {
    let mut packer = Packer::default();
    pieces.for_each(|piece| packer.add(piece));
    packer.finish()
}
