//! The merged documents of a snapshot.

use api_discovery::{
    MergeSource, MergedDocuments, PackCache, ServerVersion, UnpackedDocument, merge_documents,
};
use discovery_map::{MergedDocument, OpenApi};

use super::Index;
use super::sets::{PeerSet, Sets};

impl Index {
    /// Returns the merged documents, those among them that the map has, and who
    /// answers for OpenAPI documents.
    pub(super) fn documents(
        &self,
        sets: &mut Sets<'_>,
        packs: &mut PackCache,
    ) -> (MergedDocuments, Vec<MergedDocument>, OpenApi) {
        let rotation = sets.rotation;
        let sources = self.remembered().map(|(position, peer)| {
            let source = MergeSource {
                name: peer.name.as_str(),
                release: peer.version.as_ref().map(ServerVersion::release).unwrap_or_default(),
                answering: self.is_answering(peer),
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
        let documents = merged.documents.iter();
        let documents =
            documents.map(|document| pack(document, set(&document.peers), packs)).collect();
        packs.end_map();
        let v2 = merged.open_api_v2.as_deref().map(&mut set);
        let v3 = merged.open_api_v3.iter().map(|(path, peers)| (path.to_string(), set(peers)));
        let open_api = OpenApi { v2, v3: v3.collect() };
        (merged, documents, open_api)
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
        size: u32::try_from(document.content.size()).unwrap_or(u32::MAX),
        gzip: packed.gzip.to_string(),
    }
}
