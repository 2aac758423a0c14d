//! A discovery document in the encodings of kube-apiserver, each made of the
//! merged document's JSON, byte for byte as a server writes the same content
//! (tests compare all documents of real servers).
//!
//! ```text
//!  JSON ─┬─ indent ────▶ JSON for human readers
//!        ├─ yaml ──────▶ YAML: every field, sorted
//!        └─ protobuf ──▶ "k8s\0" and the messages of Kubernetes' API
//! ```
//!
//! Protobuf has the fields that a server of today has; others can only be kept in
//! JSON and YAML.

mod indent;
mod protobuf;
mod yaml;

use discovery_map::DocumentEncoding;

/// Returns the document in this encoding. `None` if it cannot be encoded; each document of the
/// companion can.
#[must_use]
pub fn encode(json: &[u8], encoding: DocumentEncoding) -> Option<Vec<u8>> {
    match encoding {
        DocumentEncoding::Json => Some(json.to_vec()),
        DocumentEncoding::IndentedJson => Some(indent::indented(json)),
        DocumentEncoding::Yaml => yaml::from_json(json).ok(),
        DocumentEncoding::Protobuf => protobuf::from_json(json),
    }
}

#[cfg(test)]
mod tests;
