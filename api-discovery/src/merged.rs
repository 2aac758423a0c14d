//! Merged documents: which ones are made, and which peers are asked for each.
//!
//! ```text
//!  Belief (each peer) ──┬─ /api, /apis ──▶ aggregated ──┬─▶ /api, /apis (v2, v2beta1)
//!                       │                               └─▶ /apis, /apis/<g>, /apis/<g>/<v>, /api/v1
//!                       └─ /openapi/v3 ──▶ open_api ──────▶ /openapi/v3, what is below it, /openapi/v2
//! ```
//!
//! The rules, each of them a test:
//! - A document is made only if the serving peers do not say the same.
//! - Groups, versions and resources stand in the order on which the peers agree
//!   (`order.rs`), whichever peer was asked first.
//! - The first version of a group is one that every serving peer with that group
//!   has, if there is one.
//! - A resource is described as a peer of the answering version describes it, or else the
//!   newest peer that serves it; its subresources are those of all peers.
//! - A peer that is away adds only what is built into it.
//! - A stale list of an aggregated API counts only while no serving peer has a fresh one, and then
//!   the peers with the stale one are not asked for the version's document.

mod aggregated;
mod content;
mod legacy;
mod open_api;
mod order;
mod pack;
mod storage;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use discovery_map::DocumentForm;

use crate::belief::Belief;
use crate::fields::Fields;
use crate::listing::{Group, Listing, Part, group_version_path};
use crate::release::Release;
use aggregated::{Entry, IsBuiltIn};
use storage::Stored;

pub use aggregated::{Conflict, MergedGroup};
pub use content::MergedText;
pub use open_api::{OpenApiAnswer, OpenApiAnswers, OpenApiSource, OpenApiSources, merge_open_api};
pub use pack::{PackCache, PackedText};

/// The largest document that is made, in bytes. The filter of every worker holds
/// the documents, and no control plane has a larger one.
const MAX_SIZE: usize = 16 << 20;

/// A peer whose documents are merged.
#[derive(Clone, Debug)]
pub struct MergeSource<'p> {
    /// Its name. It decides the rank of peers that are equal otherwise.
    pub name: &'p str,
    /// Its version.
    pub release: Release,
    /// Whether requests that all peers can answer go to it, as it has the answering version.
    pub answering: bool,
    /// Whether it is in rotation.
    pub serving: bool,
    /// What is believed of it.
    pub belief: &'p Belief,
}

/// The merged documents.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MergedDocuments {
    /// The documents.
    pub documents: Vec<UnpackedDocument>,
    /// Where the peers contradict each other.
    pub conflicts: BTreeSet<Conflict>,
    /// Paths of documents that are too large to be made.
    pub oversized: Vec<String>,
}

/// A merged document before it is packed, and who is asked whether a client may read it.
#[derive(Debug, PartialEq, Eq)]
pub struct UnpackedDocument {
    /// The path.
    pub path: String,
    /// The form; a path can have several.
    pub form: DocumentForm,
    /// Whether kube-apiserver gives it an `ETag`.
    pub has_etag: bool,
    /// Positions of the peers that are asked, sorted.
    pub peers: Vec<usize>,
    /// The `ETag` of their own document.
    pub peer_etag: Option<Box<str>>,
    /// The content.
    pub content: MergedText,
}

/// Merges the documents of `peers`, in any order. The positions in what is returned are those of
/// this slice. `is_built_in` tells whether a version of a group is built into a kube-apiserver.
#[must_use]
pub fn merge_documents(
    peers: &[MergeSource<'_>],
    is_built_in: &dyn Fn(&str, &str) -> bool,
) -> MergedDocuments {
    let ranked = ranked(peers);
    let serving = ranked.iter().filter(|(_, peer)| peer.serving);
    let stored = Stored(serving.map(|(at, peer)| (*at, &*peer.belief.storage)).collect());
    let merged = MergedDocuments::default();
    let mut merger = Merger { ranked: &ranked, is_built_in, stored, merged };
    merger.half(Part::Core);
    merger.half(Part::Named);
    merger.merged
}

/// Returns the peers with their positions, the one whose word counts most first.
fn ranked<'s, 'p>(peers: &'s [MergeSource<'p>]) -> Vec<(usize, &'s MergeSource<'p>)> {
    let mut ranked: Vec<_> = peers.iter().enumerate().collect();
    ranked.sort_by_cached_key(|(_, peer)| peer.precedence());
    ranked
}

struct Merger<'m, 'p> {
    /// The peers with their positions, the one whose word counts most first.
    ranked: &'m [(usize, &'m MergeSource<'p>)],
    is_built_in: IsBuiltIn<'m>,
    stored: Stored<'p>,
    merged: MergedDocuments,
}

/// The listing of a serving peer, with the peer's position.
type Own<'p> = (usize, &'p Listing);

impl<'p> MergeSource<'p> {
    /// Returns the peer's rank; the smallest is first. What peers describe differently is taken
    /// from the answering version, because it answers the requests, and then from the newest.
    fn precedence(&self) -> impl Ord + use<'p> {
        (Reverse((self.serving, self.answering, self.release.clone())), self.name)
    }

    /// A restored listing does not have all texts, so it counts only for a peer that is away.
    fn listing(&self, part: Part) -> Option<&'p Listing> {
        self.belief.listing(part).filter(|listing| !(self.serving && listing.restored))
    }
}

impl<'p> Merger<'_, 'p> {
    /// Makes all documents of one half of discovery.
    fn half(&mut self, part: Part) {
        let read =
            self.ranked.iter().filter_map(|&(at, peer)| Some((at, peer, peer.listing(part)?)));
        let read: Vec<_> = read.collect();
        let own = read.iter().filter(|(_, peer, _)| peer.serving);
        let own: Vec<Own<'_>> = own.map(|&(at, _, listing)| (at, listing)).collect();
        let Some((_, first)) = own.first() else { return };
        let all_read = own.len() == self.serving().count();
        let same = |(_, own): &Own<'_>| !own.amended && first.has_same_texts_as(own);
        let alike = all_read && own.len() == read.len() && own.iter().all(same);
        if alike && !self.stored.differs_in_part(part) {
            return;
        }
        let listings = read.iter().map(|&(_, peer, value)| Entry { value, serving: peer.serving });
        let (groups, conflicts) =
            aggregated::merge(&listings.collect::<Vec<_>>(), self.is_built_in);
        self.merged.conflicts.extend(conflicts);
        if !all_read || !own.iter().all(|(_, own)| has_these_texts(own, &groups)) {
            self.aggregated(part, &groups, &own);
        }
        let same_versions = |(_, own): &Own<'_>| {
            own.groups().len() == groups.len() && own.groups().iter().zip(&groups).all(has_versions)
        };
        if part == Part::Named && !(all_read && own.iter().all(same_versions)) {
            self.plain("/apis".to_owned(), positions(&own), legacy::group_list(&groups));
        }
        self.groups(&groups, &own);
    }

    fn serving(&self) -> impl Iterator<Item = &(usize, &MergeSource<'p>)> {
        self.ranked.iter().filter(|(_, peer)| peer.serving)
    }

    fn aggregated(&mut self, part: Part, groups: &[MergedGroup], own: &[Own<'_>]) {
        let (peers, peer_etag) = most_with_one_etag(own);
        let forms =
            [(DocumentForm::AggregatedV2, "v2"), (DocumentForm::AggregatedV2beta1, "v2beta1")];
        for (form, version) in forms {
            let groups = groups.iter().map(|group| Arc::clone(&group.text));
            self.add(UnpackedDocument {
                path: part.path().to_owned(),
                form,
                has_etag: true,
                peers: peers.clone(),
                peer_etag: peer_etag.clone(),
                content: MergedText::aggregated(version, groups),
            });
        }
    }

    fn plain(&mut self, path: String, peers: Vec<usize>, content: serde_json::Result<String>) {
        // A peer sent a field with a type that the API does not allow: clients
        // cannot read it either.
        let Ok(content) = content else { return };
        let (form, content) = (DocumentForm::Plain, content.into());
        self.add(UnpackedDocument { path, form, has_etag: false, peers, peer_etag: None, content });
    }

    fn add(&mut self, mut document: UnpackedDocument) {
        document.peers.sort_unstable();
        if document.content.size() > MAX_SIZE {
            self.merged.oversized.push(document.path);
        } else {
            self.merged.documents.push(document);
        }
    }

    /// Makes the documents of the groups that the peers with the group list
    /// differently. A request for such a group goes to those peers anyway.
    fn groups(&mut self, groups: &[MergedGroup], own: &[Own<'_>]) {
        let mut own_groups = HashMap::<&str, Vec<(usize, &Group)>>::new();
        for &(at, own) in own {
            for group in own.groups() {
                own_groups.entry(&group.names.name).or_default().push((at, group));
            }
        }
        for group in groups {
            let Some(own) = own_groups.get(&*group.name) else { continue };
            let alike = own.iter().all(|(_, own)| own.text.as_ref() == Some(&group.text));
            let peers = positions(own);
            let mut versions = group.versions.iter();
            let differs = |version| self.stored.differs(&peers, &group.name, version);
            if alike && !versions.any(|version| differs(version)) {
                continue;
            }
            let same_versions = own.iter().all(|(_, own)| has_versions((own, group)));
            if !group.name.is_empty() && !same_versions {
                let path = format!("/apis/{}", group.name);
                self.plain(path, positions(own), legacy::group(group));
            }
            self.versions(group, own);
        }
    }

    /// Makes the documents of a group's versions that the peers with the version list differently.
    fn versions(&mut self, group: &MergedGroup, own: &[(usize, &Group)]) {
        let Ok(merged) = Fields::parse(&group.text) else { return };
        let own = own.iter().filter_map(|&(at, own)| {
            let fields = Fields::parse(own.text.as_deref()?).ok()?;
            Some((at, &own.names, fields.named("versions", "version")))
        });
        let own: Vec<_> = own.collect();
        for (version, text) in merged.named("versions", "version") {
            let listed = own.iter().filter_map(|(at, names, versions)| {
                let (_, own) = versions.iter().find(|(name, _)| *name == version)?;
                Some((names.version(&version)?.stale, (*at, own.get())))
            });
            let (stale, fresh): (Vec<_>, Vec<_>) = listed.partition(|(stale, _)| *stale);
            let with_version = if fresh.is_empty() { stale } else { fresh };
            let with_version: Vec<_> = with_version.into_iter().map(|(_, own)| own).collect();
            let peers = positions(&with_version);
            let alike = with_version.iter().all(|(_, own)| *own == text.get());
            if alike && !self.stored.differs(&peers, &group.name, &version) {
                continue;
            }
            let path = group_version_path(&group.name, &version);
            let hash =
                |resource: &str| self.stored.agreed(&peers, (&group.name, &version), resource);
            let content = legacy::resource_list(&group.name, &version, text, hash);
            self.plain(path, peers, content);
        }
    }
}

/// Returns whether clients would read the same at this peer.
fn has_these_texts(own: &Listing, groups: &[MergedGroup]) -> bool {
    let texts = own.groups().iter().map(|group| group.text.as_ref());
    !own.amended && texts.eq(groups.iter().map(|group| Some(&group.text)))
}

fn has_versions((own, group): (&Group, &MergedGroup)) -> bool {
    let versions = own.names.versions.iter().map(|version| &version.name);
    own.names.name == group.name && versions.eq(&group.versions)
}

/// Returns the largest group of peers that share an `ETag`, and the `ETag`.
fn most_with_one_etag(own: &[Own<'_>]) -> (Vec<usize>, Option<Box<str>>) {
    match most_with_one(own.iter().filter_map(|(at, own)| Some((*at, own.etag.as_ref()?)))) {
        Some((etag, peers)) => (peers, Some(etag.clone())),
        None => (positions(own), None),
    }
}

/// Returns the largest group of peers with an equal value. Ties go to the group
/// with the peer that is first in rank.
fn most_with_one<V: PartialEq>(
    values: impl Iterator<Item = (usize, V)>,
) -> Option<(V, Vec<usize>)> {
    let mut groups = Vec::<(V, Vec<usize>)>::new();
    for (at, value) in values {
        match groups.iter_mut().find(|(other, _)| *other == value) {
            Some((_, peers)) => peers.push(at),
            None => groups.push((value, vec![at])),
        }
    }
    // `max_by_key` takes the last of the largest.
    let most = groups.into_iter().rev().max_by_key(|(_, peers)| peers.len());
    most.map(|(value, peers)| (value, sorted(peers)))
}

fn positions<T>(peers: &[(usize, T)]) -> Vec<usize> {
    peers.iter().map(|(at, _)| *at).collect()
}

fn sorted(mut peers: Vec<usize>) -> Vec<usize> {
    peers.sort_unstable();
    peers
}
