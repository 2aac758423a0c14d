//! Who answers for OpenAPI, which documents are merged, and the merged index of OpenAPI v3.
//!
//! ```text
//!  indexes, listings ─▶ merge_open_api ─┬─▶ v2, v3: the peers that answer
//!  merged documents ──▶                 ├─▶ the index, the merged documents
//!                                       └─▶ sources: the documents to be read and merged
//! ```
//!
//! A document has a path for every type, verb and subresource that the peer's discovery lists. So
//! documents are read only of a group-version that the peers' discovery describes differently, and
//! between two versions of Kubernetes that is one in twenty, though all documents differ (each names
//! its server's version). For all others, the document of the peer that is first in
//! rank has every path.

use std::collections::BTreeMap;
use std::sync::Arc;

use discovery_map::DocumentForm;

use super::aggregated::IsBuiltIn;
use super::{MergeSource, UnpackedDocument, most_with_one, positions, ranked, sorted};
use crate::fields::Fields;
use crate::listing::Part;
use crate::openapi::{MergedOpenApi, OpenApiIndex};

/// Who answers for OpenAPI.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OpenApiAnswers {
    /// Positions of the peers that answer for `/openapi/v2`, if not all do.
    pub v2: Option<Vec<usize>>,
    /// Positions of the peers that answer for a path below `/openapi/v3/`, if not all do.
    pub v3: BTreeMap<Box<str>, Vec<usize>>,
    /// The merged `/openapi/v3`.
    pub index: Option<UnpackedDocument>,
    /// The merged documents that are in use.
    pub documents: Vec<OpenApiAnswer>,
    /// The documents to be merged, whether or not they have been.
    pub sources: Vec<OpenApiSources>,
    /// What was made of these so far, and is to be kept.
    pub made: Vec<Arc<MergedOpenApi>>,
}

/// A merged document of OpenAPI v3 that is in use.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenApiAnswer {
    /// Positions of the peers that are asked whether a client may read it, sorted.
    pub peers: Vec<usize>,
    /// The `ETag` of their own document.
    pub peer_etag: Box<str>,
    /// The document. It has content.
    pub document: Arc<MergedOpenApi>,
}

/// The peers' documents of one path, which are to be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenApiSources {
    /// The path below `/openapi/v3/`.
    pub path: Box<str>,
    /// The documents, the one whose word counts most first.
    pub documents: Vec<OpenApiSource>,
}

/// A document of OpenAPI v3, and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenApiSource {
    /// Its hash.
    pub hash: Box<str>,
    /// Positions of the peers with this document.
    pub peers: Vec<usize>,
}

/// Decides who answers for OpenAPI. Positions and `is_built_in` are as in
/// [`merge_documents`](super::merge_documents); `made` is what was merged so far, of any documents.
#[must_use]
pub fn merge_open_api(
    peers: &[MergeSource<'_>],
    is_built_in: IsBuiltIn<'_>,
    made: &[Arc<MergedOpenApi>],
) -> OpenApiAnswers {
    let ranked = ranked(peers);
    let indexed = ranked.iter().filter_map(|&(at, peer)| {
        Some(Indexed { at, peer, index: peer.belief.open_api.as_deref()? })
    });
    let indexed: Vec<_> = indexed.collect();
    let serving: Vec<_> = ranked.iter().copied().filter(|(_, peer)| peer.serving).collect();
    let known: Vec<_> = indexed.iter().filter(|known| known.peer.serving).collect();
    let same_index = known.windows(2).all(|pair| matches!(pair, [a, b] if a.index == b.index));
    let mut answers = OpenApiAnswers { v2: v2(&serving, same_index), ..Default::default() };
    let all_say_the_same = same_index && known.len() == serving.len();
    let is_any_away = known.len() < indexed.len();
    if known.is_empty() || (all_say_the_same && !is_any_away) {
        return answers;
    }
    let indexes: Vec<_> = known.iter().map(|known| known.index).collect();
    let mut merged = OpenApiIndex::merge(&indexes);
    for (path, url) in &mut merged.0 {
        let with_url = known.iter().filter(|known| known.index.0.get(path) == Some(&*url));
        let with_url = sorted(with_url.map(|known| known.at).collect());
        if with_url.len() != known.len() {
            answers.v3.insert(path.clone(), with_url.clone());
        }
        let Some(sources) = sources(path, &indexed, is_built_in) else { continue };
        if let Some((peer_etag, document)) = sources.best_of(made) {
            if let Some(content) = &document.content {
                *url = format!("/openapi/v3/{path}?hash={}", content.etag).into();
                let (peer_etag, document) = (peer_etag.into(), Arc::clone(document));
                answers.documents.push(OpenApiAnswer { peers: with_url, peer_etag, document });
            }
            answers.made.push(Arc::clone(document));
        }
        answers.sources.push(sources);
    }
    if all_say_the_same && answers.documents.is_empty() {
        return answers;
    }
    answers.index = Some(UnpackedDocument {
        path: "/openapi/v3".to_owned(),
        form: DocumentForm::Plain,
        has_etag: false,
        peers: sorted(known.iter().map(|known| known.at).collect()),
        peer_etag: None,
        content: merged.render().into(),
    });
    answers
}

/// A peer whose index is known.
struct Indexed<'p> {
    at: usize,
    peer: &'p MergeSource<'p>,
    index: &'p OpenApiIndex,
}

impl OpenApiSources {
    /// Returns the best that was made of these documents, and the hash of the first of them. It
    /// must have all of the first. It is better than none if others are missing, because no peer in
    /// rotation sends them, or if the answering version, and with it the order, has changed.
    fn best_of<'m>(
        &self,
        made: &'m [Arc<MergedOpenApi>],
    ) -> Option<(&str, &'m Arc<MergedOpenApi>)> {
        let hashes: Vec<_> = self.documents.iter().map(|document| &document.hash).collect();
        let first = *hashes.first()?;
        let usable = made.iter().filter(|made| {
            made.path == self.path
                && made.hashes.contains(first)
                && made.hashes.iter().all(|hash| hashes.contains(&hash))
        });
        // Of equals, the last is the newest.
        let best = usable
            .max_by_key(|made| (made.hashes.len(), made.hashes.iter().eq(hashes.iter().copied())));
        Some((first, best?))
    }
}

/// Returns the documents of a path, if there are several and they may have different paths.
fn sources(
    path: &str,
    indexed: &[Indexed<'_>],
    is_built_in: IsBuiltIn<'_>,
) -> Option<OpenApiSources> {
    let (group, version) = group_version(path)?;
    let stays = is_built_in(group, version);
    let counts = indexed.iter().filter(|known| known.peer.serving || stays);
    let mut documents = Vec::<OpenApiSource>::new();
    let mut texts = Vec::<&Arc<str>>::new();
    for Indexed { at, peer, index } in counts {
        let listing = peer.listing(Part::of_group(group));
        let text = listing.and_then(|listing| listing.group(group)?.text.as_ref());
        let (Some(hash), Some(text)) = (index.hash(path), text) else { continue };
        match documents.iter_mut().find(|document| *document.hash == *hash) {
            Some(document) => document.peers.push(*at),
            None => documents.push(OpenApiSource { hash: hash.into(), peers: vec![*at] }),
        }
        // Peers that say the same share the text, so that this is cheap.
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let differ = documents.len() > 1 && texts.len() > 1 && {
        let mut texts = texts.iter().map(|text| version_text(text, version));
        let first = texts.next();
        texts.any(|text| Some(&text) != first.as_ref())
    };
    differ.then(|| OpenApiSources { path: path.into(), documents })
}

/// Returns the group and version that a document describes.
fn group_version(path: &str) -> Option<(&str, &str)> {
    let mut segments = path.split('/');
    let (root, first) = (segments.next()?, segments.next()?);
    let found = match (root, segments.next()) {
        ("api", None) => ("", first),
        ("apis", Some(version)) => (first, version),
        _ => return None,
    };
    segments.next().is_none().then_some(found)
}

/// Returns what a group's text says of a version.
fn version_text<'t>(group: &'t str, version: &str) -> Option<&'t str> {
    let versions = Fields::parse(group).ok()?.named("versions", "version");
    versions.into_iter().find(|(name, _)| name == version).map(|(_, text)| text.get())
}

/// Returns the peers that answer for `/openapi/v2`, which is not merged: those in rotation that
/// know the most types, of these the ones whose version is first in rank, and of these the largest
/// group with identical documents.
fn v2(serving: &[(usize, &MergeSource<'_>)], same_index: bool) -> Option<Vec<usize>> {
    let most = serving.iter().map(|(_, peer)| peer.belief.type_count()).max()?;
    let widest = serving.iter().filter(|(_, peer)| peer.belief.type_count() == most);
    let (_, first) = widest.clone().next()?;
    let same_release = serving.iter().all(|(_, peer)| peer.release == first.release);
    if same_index && same_release && widest.clone().count() == serving.len() {
        return None;
    }
    let answering = widest.filter(|(_, peer)| {
        (peer.answering, &peer.release) == (first.answering, &first.release)
            && peer.belief.has_same_types_as(first.belief)
    });
    let answering: Vec<_> = answering.copied().collect();
    let indexes = answering.iter().filter_map(|(at, p)| Some((*at, p.belief.open_api.as_ref()?)));
    let most = most_with_one(indexes).map(|(_, peers)| peers);
    Some(most.unwrap_or_else(|| sorted(positions(&answering))))
}
