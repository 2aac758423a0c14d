//! The merged documents of a snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use api_discovery::{
    Conflict, MergeSource, MergedOpenApi, OpenApiAnswer, OpenApiAnswers, OpenApiSources, PackCache,
    PackedForm, ServerVersion, UnpackedDocument, merge_documents, merge_open_api,
};
use discovery_map::{DocumentForm, MergedDocument, OpenApi};

use super::Index;
use super::sets::{PeerSet, Sets};
use crate::config::Peer;
use crate::facts::{OpenApiDocument, OpenApiMerge};

/// The merged documents, and what is said of them besides.
#[derive(Default)]
pub(super) struct Documents {
    /// The documents as the map has them.
    pub documents: Vec<MergedDocument>,
    /// Who answers for the OpenAPI documents that are not among them.
    pub open_api: OpenApi,
    /// The documents of OpenAPI v3 that are to be merged.
    pub open_api_merges: Vec<OpenApiMerge>,
    /// What was made of those, and is to be kept.
    pub open_api_made: Vec<Arc<MergedOpenApi>>,
    pub conflicts: BTreeSet<Conflict>,
    pub oversized: Vec<String>,
}

impl Index {
    /// Returns the merged documents.
    pub(super) fn documents(&self, sets: &mut Sets<'_>, packs: &mut PackCache) -> Documents {
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
        let answers = merge_open_api(&sources, &is_built_in, &self.open_api);
        let mut set = |peers: &[usize]| {
            let peers = peers.iter().filter_map(|at| positions.get(*at).copied());
            sets.index_of(PeerSet::collect(peers))
        };
        let OpenApiAnswers { v2, v3, index, documents: open_api, sources: merges, made } = answers;
        let documents = merged.documents.iter().chain(&index);
        let mut documents: Vec<_> =
            documents.map(|document| pack(document, set(&document.peers), packs)).collect();
        packs.end_map();
        documents.extend(open_api.iter().flat_map(|answer| both_forms(answer, set(&answer.peers))));
        let v3 = v3.iter().map(|(path, peers)| (path.to_string(), set(peers)));
        let open_api = OpenApi { v3: v3.collect(), v2: v2.as_deref().map(&mut set) };
        let merge = |sources| self.merge_of(sources, &positions, rotation);
        Documents {
            documents,
            open_api,
            open_api_merges: merges.into_iter().map(merge).collect(),
            open_api_made: made,
            conflicts: merged.conflicts,
            oversized: merged.oversized,
        }
    }

    fn merge_of(
        &self,
        sources: OpenApiSources,
        positions: &[usize],
        rotation: PeerSet,
    ) -> OpenApiMerge {
        let peer = |at: &usize| {
            let position = positions.get(*at).copied().filter(|at| rotation.contains(*at))?;
            let peer = self.peers.get(position)?;
            Some(Peer { name: peer.name.clone(), address: peer.address })
        };
        let documents = sources.documents.into_iter().map(|source| OpenApiDocument {
            peers: source.peers.iter().filter_map(peer).collect(),
            hash: source.hash,
        });
        OpenApiMerge { documents: documents.collect(), path: sources.path }
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

/// Returns a merged document of OpenAPI v3 in its forms.
fn both_forms(answer: &OpenApiAnswer, set: u16) -> Vec<MergedDocument> {
    let Some(content) = &answer.document.content else { return Vec::new() };
    let document = |form, packed: &PackedForm| MergedDocument {
        path: format!("/openapi/v3/{}", answer.document.path),
        form,
        etag: Some(content.etag.to_string()),
        set,
        peer_etag: Some(answer.peer_etag.to_string()),
        // The reader bounds it.
        size: u32::try_from(packed.size).unwrap_or(u32::MAX),
        gzip: packed.gzip.to_string(),
    };
    vec![
        document(DocumentForm::Plain, &content.json),
        document(DocumentForm::Protobuf, &content.protobuf),
    ]
}
