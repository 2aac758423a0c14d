//! The merged documents of a snapshot.

use std::collections::BTreeSet;

use api_discovery::{Conflict, MergeSource, PackCache, Release, UnpackedDocument, merge_documents};
use discovery_map::{MergedDocument, OpenApi};

use super::Index;
use super::sets::{PeerSet, Sets};

/// What the map says about documents.
pub(super) struct Documents {
    pub documents: Vec<MergedDocument>,
    pub open_api: OpenApi,
    pub conflicts: BTreeSet<Conflict>,
    pub oversized: Vec<String>,
}

impl Index {
    pub(super) fn documents(&self, sets: &mut Sets<'_>, packs: &mut PackCache) -> Documents {
        let rotation = sets.rotation();
        let sources = self.remembered().map(|(position, peer)| {
            let source = MergeSource {
                name: peer.name.as_str(),
                release: peer.version.as_deref().map(Release::parse).unwrap_or_default(),
                serving: rotation.contains(position),
                belief: &peer.belief,
            };
            (position, source)
        });
        let (positions, sources): (Vec<_>, Vec<_>) = sources.unzip();
        let is_built_in = |group: &str, version: &str| self.origins.is_built_in(group, version);
        let merged = merge_documents(&sources, &is_built_in);
        let mut set = |peers: &[usize]| {
            let peers = peers.iter().filter_map(|at| positions.get(*at).copied());
            sets.index_of(PeerSet::collect(peers))
        };
        let documents = merged.documents.into_iter();
        let documents = documents.map(|document| pack(&document, set(&document.peers), packs));
        let documents = documents.collect();
        packs.end_map();
        let v2 = merged.open_api_v2.as_deref().map(&mut set);
        let v3 = merged.open_api_v3.iter().map(|(path, peers)| (path.to_string(), set(peers)));
        let open_api = OpenApi { v2, v3: v3.collect() };
        let (conflicts, oversized) = (merged.conflicts, merged.oversized);
        Documents { documents, open_api, conflicts, oversized }
    }
}

fn pack(document: &UnpackedDocument, set: u16, packs: &mut PackCache) -> MergedDocument {
    let packed = packs.pack(&document.content);
    MergedDocument {
        path: document.path.clone(),
        form: document.form,
        etag: document.has_etag.then(|| packed.etag.to_string()),
        set,
        peer_etag: document.peer_etag.clone().map(Into::into),
        // `merge_documents` bounds it.
        size: u32::try_from(document.content.len()).unwrap_or(u32::MAX),
        gzip: packed.gzip.to_string(),
    }
}
