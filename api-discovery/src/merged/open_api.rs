//! The merge of indexes of OpenAPI v3.

use std::collections::BTreeMap;

use crate::openapi::OpenApiIndex;

/// What all peers offer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MergedOpenApi {
    pub index: OpenApiIndex,
    /// path → positions in the list of the peers that answer it, unless every
    /// peer does.
    pub answered_by: BTreeMap<Box<str>, Vec<usize>>,
}

/// Merges; the peer whose word counts most is first.
pub(super) fn merge(peers: &[&OpenApiIndex]) -> MergedOpenApi {
    let mut merged = MergedOpenApi::default();
    for (path, url) in peers.iter().flat_map(|peer| &peer.0) {
        merged.index.0.entry(path.clone()).or_insert_with(|| url.clone());
    }
    for (path, url) in &merged.index.0 {
        let same = |peer: &OpenApiIndex| peer.0.get(path) == Some(url);
        let positions = peers.iter().enumerate().filter(|(_, peer)| same(peer));
        let positions: Vec<_> = positions.map(|(position, _)| position).collect();
        if positions.len() != peers.len() {
            merged.answered_by.insert(path.clone(), positions);
        }
    }
    merged
}
