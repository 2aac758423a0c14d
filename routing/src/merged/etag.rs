//! How an `ETag` travels.

/// The header's value of an `ETag` from the map.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
