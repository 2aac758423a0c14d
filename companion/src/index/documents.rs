//! The merged documents of a snapshot.

use std::collections::BTreeSet;

use discovery_map::{MergedDocument, OpenApi};

use super::Index;
use super::merge::{PeerSet, Sets};
use api_discovery::{Conflict, Release, Says, Served, make};

/// What the map says of documents.
pub(super) struct Documents {
    pub documents: Vec<MergedDocument>,
    pub open_api: OpenApi,
    pub conflicts: BTreeSet<Conflict>,
    pub oversized: Vec<String>,
}

impl Index {
    pub(super) fn documents(&self, rotation: PeerSet, sets: &mut Sets<'_>) -> Documents {
        let (positions, says): (Vec<_>, Vec<_>) = self
            .remembered()
            .map(|(position, peer)| {
                let serving = rotation.contains(position);
                // Not of one that serves: it is only a part of what that has.
                let earlier = (!serving).then_some(&peer.remembered);
                let says = Says {
                    name: peer.name.as_str(),
                    release: peer.version.as_deref().map(Release::parse).unwrap_or_default(),
                    serving,
                    core: peer.core.as_ref().or_else(|| earlier?.core.as_ref()),
                    named: peer.named.as_ref().or_else(|| earlier?.named.as_ref()),
                    open_api: peer.open_api.as_ref(),
                };
                (position, says)
            })
            .unzip();
        let built_in = |group: &str, version: &str| self.origins.is_built_in(group, version);
        let made = make(&says, &built_in);
        let mut set = |peers: &[usize]| {
            let peers = peers.iter().filter_map(|at| positions.get(*at).copied());
            sets.index_of(PeerSet::collect(peers))
        };
        let documents = self.pack(made.documents, &mut set);
        let v2 = made.open_api_v2.as_deref().map(&mut set);
        let v3 = made.open_api_v3.iter().map(|(path, peers)| (path.to_string(), set(peers)));
        let v3 = v3.collect();
        Documents {
            documents,
            open_api: OpenApi { v2, v3 },
            conflicts: made.conflicts,
            oversized: made.oversized,
        }
    }

    fn pack(
        &self,
        documents: Vec<Served>,
        set: &mut impl FnMut(&[usize]) -> u16,
    ) -> Vec<MergedDocument> {
        let mut packer = self.packer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let documents = documents
            .into_iter()
            .map(|served| {
                let packed = packer.pack(&served.content);
                MergedDocument {
                    path: served.path,
                    form: served.form,
                    etag: served.has_etag.then(|| packed.etag.to_string()),
                    set: set(&served.peers),
                    peer_etag: served.peer_etag.map(Into::into),
                    // `make` bounds it.
                    size: u32::try_from(served.content.len()).unwrap_or(u32::MAX),
                    gzip: packed.gzip.to_string(),
                }
            })
            .collect();
        packer.turn();
        documents
    }
}
