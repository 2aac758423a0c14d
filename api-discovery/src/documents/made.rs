//! Which documents are made, and who is asked for each.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use discovery_map::DocumentForm;

use super::fields::Fields;
use super::merge::{BuiltIn, Merged, Source, merge};
use super::{Aggregated, Conflict, Content, Group, OpenApiIndex, Release, legacy, openapi};

/// A document larger than this is not made: the filter of every worker holds
/// it, and no control plane has one.
const MAX_SIZE: usize = 16 << 20;

/// What is known of one peer.
#[derive(Clone, Debug)]
pub struct Says<'p> {
    /// Its name: between peers of one version, the first decides.
    pub name: &'p str,
    /// Its version.
    pub release: Release,
    /// Whether it is in rotation.
    pub serving: bool,
    /// `/api`.
    pub core: Option<&'p Arc<Aggregated>>,
    /// `/apis`.
    pub named: Option<&'p Arc<Aggregated>>,
    /// `/openapi/v3`.
    pub open_api: Option<&'p Arc<OpenApiIndex>>,
}

/// Everything that is to be said in place of the peers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The documents.
    pub documents: Vec<Served>,
    /// Positions of the peers that answer for `/openapi/v2`.
    pub open_api_v2: Option<Vec<usize>>,
    /// Positions of the peers that answer for a path below `/openapi/v3/`.
    pub open_api_v3: BTreeMap<Box<str>, Vec<usize>>,
    /// Where the peers contradict each other.
    pub conflicts: BTreeSet<Conflict>,
    /// Documents that are too large to be made.
    pub oversized: Vec<String>,
}

/// A document, and who is asked whether a client may read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    /// The path.
    pub path: String,
    /// Which of the path's documents.
    pub form: DocumentForm,
    /// Whether kube-apiserver gives it an `ETag`.
    pub has_etag: bool,
    /// Positions of the peers that are asked.
    pub peers: Vec<usize>,
    /// The `ETag` of their own document.
    pub peer_etag: Option<Box<str>>,
    /// The content.
    pub content: Content,
}

/// The documents that are nobody's own. `peers` in any order; the positions in
/// what is returned are those of this slice.
#[must_use]
pub fn make(peers: &[Says<'_>], built_in: &dyn Fn(&str, &str) -> bool) -> Made {
    let mut ranked: Vec<_> = peers.iter().enumerate().collect();
    ranked.sort_by(|(_, a), (_, b)| {
        let key = |says: &Says<'_>| (Reverse(says.serving), Reverse(says.release.clone()));
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(b.name))
    });
    let mut maker = Maker { ranked: &ranked, built_in, made: Made::default() };
    maker.half("/api", |says| says.core);
    maker.half("/apis", |says| says.named);
    maker.open_api();
    maker.made
}

/// The peers, with the one whose word counts most first.
type Ranked<'m, 'p> = &'m [(usize, &'m Says<'p>)];

struct Maker<'m, 'p> {
    ranked: Ranked<'m, 'p>,
    built_in: BuiltIn<'m>,
    made: Made,
}

/// A document of a serving peer, with the peer's position.
type Own<'p> = (usize, &'p Aggregated);

impl<'p> Maker<'_, 'p> {
    /// All documents of one half of discovery.
    fn half(&mut self, path: &str, of: impl Fn(&Says<'p>) -> Option<&'p Arc<Aggregated>>) {
        let read = self.ranked.iter().filter_map(|(at, says)| Some((*at, says.serving, of(says)?)));
        let read: Vec<_> = read.collect();
        let own: Vec<Own<'p>> =
            read.iter().filter(|(_, serving, _)| *serving).map(|(at, _, d)| (*at, &***d)).collect();
        let Some((_, first)) = own.first() else { return };
        let unread = self.serving().len() != own.len();
        let alike = |(_, document): &Own<'_>| !document.amended && first.says_the_same_as(document);
        let alone = read.len() == own.len();
        if alone && !unread && own.iter().all(alike) {
            return;
        }
        let sources: Vec<_> = read
            .iter()
            .map(|(_, serving, document)| Source { document, serving: *serving })
            .collect();
        let Merged { document, conflicts } = merge(&sources, self.built_in);
        self.made.conflicts.extend(conflicts);
        let own_is_it = |(_, own): &Own<'_>| !own.amended && own.says_the_same_as(&document);
        if unread || !own.iter().all(own_is_it) {
            self.aggregated(path, &document, &own);
        }
        if path == "/apis" {
            self.group_list(&document, &own, unread);
        }
        self.groups(&document, &own);
    }

    fn serving(&self) -> Vec<usize> {
        self.ranked.iter().filter(|(_, says)| says.serving).map(|(at, _)| *at).collect()
    }

    fn aggregated(&mut self, path: &str, document: &Aggregated, own: &[Own<'_>]) {
        let (peers, peer_etag) = largest_alike(own);
        let forms =
            [(DocumentForm::AggregatedV2, "v2"), (DocumentForm::AggregatedV2beta1, "v2beta1")];
        for (form, version) in forms {
            self.add(Served {
                path: path.to_owned(),
                form,
                has_etag: true,
                peers: peers.clone(),
                peer_etag: peer_etag.clone(),
                content: Content::Aggregated { version, groups: document.groups.clone() },
            });
        }
    }

    fn plain(&mut self, path: String, peers: Vec<usize>, content: serde_json::Result<String>) {
        // What a peer sent as something else than text, lists and such where
        // the API has those: clients cannot read it either.
        let Ok(content) = content else { return };
        let content = Content::Text(content);
        let form = DocumentForm::Plain;
        self.add(Served { path, form, has_etag: false, peers, peer_etag: None, content });
    }

    fn add(&mut self, mut document: Served) {
        document.peers.sort_unstable();
        match document.content.len() > MAX_SIZE {
            true => self.made.oversized.push(document.path),
            false => self.made.documents.push(document),
        }
    }

    fn group_list(&mut self, document: &Aggregated, own: &[Own<'_>], unread: bool) {
        let same = |(a, b): (&Arc<Group>, &Arc<Group>)| {
            Arc::ptr_eq(a, b) || (a.name == b.name && a.versions == b.versions)
        };
        let alike = |(_, own): &Own<'_>| {
            own.groups.len() == document.groups.len()
                && own.groups.iter().zip(&document.groups).all(same)
        };
        if unread || !own.iter().all(alike) {
            let peers = own.iter().map(|(at, _)| *at).collect();
            self.plain("/apis".to_owned(), peers, legacy::group_list(document));
        }
    }

    /// The documents of the groups of which the peers that have them say
    /// different things. A request for one goes to those peers anyway.
    fn groups(&mut self, document: &Aggregated, own: &[Own<'_>]) {
        let mut had = HashMap::<&str, Vec<(usize, &Arc<Group>)>>::new();
        for (at, own) in own {
            for group in &own.groups {
                had.entry(&group.name).or_default().push((*at, group));
            }
        }
        for group in &document.groups {
            let Some(had) = had.get(&*group.name) else { continue };
            if had.iter().all(|(_, own)| Arc::ptr_eq(own, group) || own.text == group.text) {
                continue;
            }
            if !group.name.is_empty() && had.iter().any(|(_, own)| own.versions != group.versions) {
                let peers = had.iter().map(|(at, _)| *at).collect();
                self.plain(format!("/apis/{}", group.name), peers, legacy::group(group));
            }
            self.versions(group, had);
        }
    }

    fn versions(&mut self, group: &Group, had: &[(usize, &Arc<Group>)]) {
        let Ok(merged) = Fields::parse(&group.text) else { return };
        let own: Vec<_> = had
            .iter()
            .filter_map(|(at, own)| {
                let fields = Fields::parse(&own.text).ok()?;
                Some((*at, fields.named("versions", "version")))
            })
            .collect();
        for (version, text) in merged.named("versions", "version") {
            if !group.versions.iter().any(|known| **known == *version) {
                continue;
            }
            let with: Vec<_> = own
                .iter()
                .filter_map(|(at, versions)| {
                    let (_, own) = versions.iter().find(|(name, _)| *name == version)?;
                    Some((*at, own.get() == text.get()))
                })
                .collect();
            if with.iter().all(|(_, same)| *same) {
                continue;
            }
            let path = match group.name.is_empty() {
                true => format!("/api/{version}"),
                false => format!("/apis/{}/{version}", group.name),
            };
            let peers = with.iter().map(|(at, _)| *at).collect();
            self.plain(path, peers, legacy::resource_list(&group.name, &version, text));
        }
    }

    fn open_api(&mut self) {
        let serving: Vec<_> = self.ranked.iter().filter(|(_, says)| says.serving).collect();
        let known: Vec<_> =
            serving.iter().filter_map(|(at, says)| Some((*at, says.open_api?))).collect();
        let unread = known.len() != serving.len();
        let differ = known.windows(2).any(|pair| match pair {
            [(_, a), (_, b)] => !Arc::ptr_eq(a, b) && a != b,
            _ => false,
        });
        let newest = serving.first().map(|(_, says)| &says.release);
        let releases = serving.iter().any(|(_, says)| Some(&says.release) != newest);
        if differ || releases {
            self.made.open_api_v2 = self.newest(newest);
        }
        if known.is_empty() || !(differ || unread) {
            return;
        }
        let indexes: Vec<_> = known.iter().map(|(_, index)| &***index).collect();
        let merged = openapi::merge(&indexes);
        let at = |position: &usize| known.get(*position).map(|(at, _)| *at);
        for (path, positions) in merged.answered_by {
            let peers = sorted(positions.iter().filter_map(at).collect());
            self.made.open_api_v3.insert(path, peers);
        }
        let peers = known.iter().map(|(at, _)| *at).collect();
        self.plain("/openapi/v3".to_owned(), peers, Ok(merged.index.render()));
    }

    /// Of the newest peers those that have the same documents: as many as can
    /// be.
    fn newest(&self, newest: Option<&Release>) -> Option<Vec<usize>> {
        let mut alike = Vec::<(Option<&Arc<OpenApiIndex>>, Vec<usize>)>::new();
        let newest =
            self.ranked.iter().filter(|(_, says)| says.serving && Some(&says.release) == newest);
        for (at, says) in newest {
            match alike.iter_mut().find(|(index, _)| *index == says.open_api) {
                Some((_, peers)) => peers.push(*at),
                None => alike.push((says.open_api, vec![*at])),
            }
        }
        let best =
            alike.into_iter().rev().max_by_key(|(index, peers)| (index.is_some(), peers.len()));
        best.map(|(_, peers)| sorted(peers))
    }
}

/// The most peers whose document has one `ETag`, and that; among as many, those
/// with the peer whose word counts most.
fn largest_alike(own: &[Own<'_>]) -> (Vec<usize>, Option<Box<str>>) {
    let mut alike = Vec::<(&Box<str>, Vec<usize>)>::new();
    for (at, document) in own {
        let Some(etag) = &document.etag else { continue };
        match alike.iter_mut().find(|(other, _)| *other == etag) {
            Some((_, peers)) => peers.push(*at),
            None => alike.push((etag, vec![*at])),
        }
    }
    // The last of the greatest is taken: the list is turned round.
    match alike.into_iter().rev().max_by_key(|(_, peers)| peers.len()) {
        Some((etag, peers)) => (sorted(peers), Some(etag.clone())),
        None => (sorted(own.iter().map(|(at, _)| *at).collect()), None),
    }
}

fn sorted(mut peers: Vec<usize>) -> Vec<usize> {
    peers.sort_unstable();
    peers
}
