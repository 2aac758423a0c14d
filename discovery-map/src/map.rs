//! The validated map, laid out for look-ups.
//!
//! Invariant: every stored set index is in range, and every level is sorted,
//! because only `validate` builds a map.

use std::num::NonZeroU32;

use crate::codec::Packed;
use crate::map_document::{
    DocumentForm, IdentityHeaders, MergedDocument, OpenApi, PeerEntry, SetEntry,
};
use crate::minor_version::MinorVersion;
use crate::mode::Mode;
use crate::verb::Verb;

/// Which peers serve which target, as the filter asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryMap {
    /// The map's generation.
    pub generation: u64,
    /// Whether a target that the map does not know does not exist.
    pub complete: bool,
    /// How much of its decisions the filter carries out.
    pub mode: Mode,
    /// The groups whose users are told how each of their requests was decided.
    pub decision_header_groups: Vec<String>,
    /// The cluster of all serving peers.
    pub default_cluster: String,
    /// How the peers are told who a client with a certificate is.
    pub identity: IdentityHeaders,
    /// Every peer in the map.
    pub peers: Vec<PeerEntry>,
    /// The addresses of the peers in rotation.
    pub rotation: Vec<String>,
    /// Whether a peer left the rotation a moment ago.
    pub just_left: bool,
    /// The cluster of all peers in rotation, on one level.
    pub(crate) rotation_cluster: String,
    /// The clusters of the peers in rotation for components, by their versions, ascending.
    pub(crate) rotation_at_least: Vec<AtLeast>,
    pub(crate) sets: Vec<SetEntry>,
    pub(crate) widest_view: u16,
    pub(crate) groups: Box<[Group]>,
    /// Each resource with such verbs has its own entry.
    pub(crate) verbs: Box<[VerbSets]>,
    pub(crate) documents: Vec<Merged>,
    pub(crate) open_api: OpenApi,
}

/// A merged document, sorted by path and form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merged {
    /// Its position in the list of the map on the wire.
    pub(crate) position: usize,
    pub(crate) document: MergedDocument,
}

/// What the map says of a merged document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergedEntry<'m> {
    /// Its position among [`DiscoveryMap::take_packed`]'s.
    pub index: usize,
    /// The document, whose content has been taken.
    pub document: &'m MergedDocument,
    /// The destination of the access check.
    pub destination: Destination<'m>,
}

/// A group and its versions, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: Box<str>,
    pub(crate) widest: u16,
    pub(crate) versions: Box<[Version]>,
}

/// A version of a group and its resources, sorted by name and subresource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) name: Box<str>,
    pub(crate) widest: u16,
    pub(crate) resources: Box<[Resource]>,
}

/// A resource or, with a subresource that is not empty, one of its subresources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    pub(crate) name: Box<str>,
    pub(crate) subresource: Box<str>,
    pub(crate) scope: Scope,
    pub(crate) set: u16,
    /// The position in [`DiscoveryMap::verbs`], counted from 1, if peers of the set
    /// differ in their verbs.
    pub(crate) verbs: Option<NonZeroU32>,
}

/// The verbs that only some peers of a resource's set have, and their sets.
pub(crate) type VerbSets = Box<[(Verb, u16)]>;

/// A minor version, and the cluster for components of this version.
pub(crate) type AtLeast = (MinorVersion, String);

/// Where in the path a resource stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Below `namespaces/<namespace>/`; without it only all namespaces' list.
    Namespaced,
    /// Directly below the group-version.
    Cluster,
}

/// What the map knows of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'m> {
    /// Where it is served.
    pub destination: Destination<'m>,
    /// Where in the path it stands.
    pub scope: Scope,
    /// The serving set, for [`DiscoveryMap::peers_of`].
    pub set: u16,
    /// The verbs that only some peers of the set have, and the sets of those.
    pub verbs: &'m [(Verb, u16)],
}

/// Where a request goes: what the map says of a target, and what is decided
/// for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'m> {
    /// To the route's own cluster: every serving peer.
    Default,
    /// To the peers of this Envoy cluster.
    Cluster(&'m str),
    /// Nowhere: no peer that serves the target is in rotation.
    Unavailable,
}

impl Merged {
    pub(crate) fn key(&self) -> (&[u8], DocumentForm) {
        (self.document.path.as_bytes(), self.document.form)
    }
}

impl DiscoveryMap {
    /// The peers of a serving set, by its index.
    pub fn peers_of(&self, set: u16) -> impl Iterator<Item = &PeerEntry> {
        let peers = self.sets.get(usize::from(set)).map(|set| &*set.peers).unwrap_or_default();
        peers.iter().filter_map(|&peer| self.peers.get(usize::from(peer)))
    }

    /// The serving set whose requests go there, those of components too; `None` for
    /// [`Destination::Unavailable`], which several sets can have.
    #[must_use]
    pub fn set_of(&self, destination: Destination<'_>) -> Option<u16> {
        let cluster = match destination {
            Destination::Default => &*self.default_cluster,
            Destination::Cluster(cluster) => cluster,
            Destination::Unavailable => return None,
        };
        let is_of = |set: &SetEntry| {
            set.cluster.as_deref() == Some(cluster)
                || set.at_least.values().any(|own| own == cluster)
        };
        self.sets.iter().position(is_of)?.try_into().ok()
    }

    /// How many resources and subresources some peers serve and some do not.
    #[must_use]
    pub fn skewed_targets(&self) -> usize {
        let resources = self.groups.iter().flat_map(|g| &g.versions).flat_map(|v| &v.resources);
        resources.filter(|resource| self.destination(resource.set) != Destination::Default).count()
    }

    /// Where a resource, or a subresource of it, is served; `None` if no peer
    /// is known to serve it. `group` is empty for the core group. The bytes are
    /// a client's: they need not be UTF-8.
    #[must_use]
    pub fn resource(
        &self,
        group: &[u8],
        version: &[u8],
        resource: &[u8],
        subresource: Option<&[u8]>,
    ) -> Option<Found<'_>> {
        let version = self.find_version(group, version)?;
        let wanted = (resource, subresource.unwrap_or_default());
        let found = find(&version.resources, |r| {
            (r.name.as_bytes(), r.subresource.as_bytes()).cmp(&wanted)
        })?;
        let destination = self.destination(found.set);
        let verbs = found.verbs.and_then(|at| self.verbs.get(usize::try_from(at.get() - 1).ok()?));
        let verbs = verbs.map(|verbs| &**verbs).unwrap_or_default();
        Some(Found { destination, scope: found.scope, set: found.set, verbs })
    }

    /// Returns what is known of a resource, for requests of one verb. `verb` is called only if
    /// peers differ.
    pub fn narrowed<'m>(
        &'m self,
        found: Found<'m>,
        verb: impl FnOnce() -> Option<Verb>,
    ) -> Found<'m> {
        if found.verbs.is_empty() {
            return found;
        }
        let Some(verb) = verb() else { return found };
        let Some((_, set)) = found.verbs.iter().find(|(own, _)| *own == verb) else { return found };
        Found { destination: self.destination(*set), set: *set, ..found }
    }

    /// Where a group's discovery document is served best.
    #[must_use]
    pub fn group(&self, group: &[u8]) -> Option<Destination<'_>> {
        self.find_group(group).map(|group| self.destination(group.widest))
    }

    /// Where a group-version's discovery document is served best.
    #[must_use]
    pub fn group_version(&self, group: &[u8], version: &[u8]) -> Option<Destination<'_>> {
        self.find_version(group, version).map(|version| self.destination(version.widest))
    }

    /// Returns where a request goes if every peer may have to be asked: all of them, on one level.
    /// From there, the next attempt is never at a peer that was asked before.
    #[must_use]
    pub fn every_peer(&self) -> Destination<'_> {
        if self.rotation.is_empty() {
            return Destination::Default;
        }
        Destination::Cluster(&self.rotation_cluster)
    }

    /// Where documents that span all groups are answered best by one peer.
    #[must_use]
    pub fn widest_view(&self) -> Destination<'_> {
        self.destination(self.widest_view)
    }

    /// Whether no document is merged: every serving peer has the same ones.
    #[must_use]
    pub fn has_no_documents(&self) -> bool {
        self.documents.is_empty()
    }

    /// The merged document of a path, without a slash at its end, in this form.
    #[must_use]
    pub fn document(&self, path: &[u8], form: DocumentForm) -> Option<MergedEntry<'_>> {
        let order = |merged: &Merged| merged.key().cmp(&(path, form));
        let index = self.documents.binary_search_by(order).ok()?;
        let document = &self.documents.get(index)?.document;
        Some(MergedEntry { index, document, destination: self.destination(document.set) })
    }

    /// Takes the contents of all merged documents out of the map.
    pub fn take_packed(&mut self) -> Vec<Packed> {
        let packed = |Merged { position, document }: &mut Merged| Packed {
            position: *position,
            size: usize::try_from(document.size).unwrap_or(usize::MAX),
            gzip: std::mem::take(&mut document.gzip),
        };
        self.documents.iter_mut().map(packed).collect()
    }

    /// Who answers for `/openapi/v2`, unless it is the same on every peer.
    #[must_use]
    pub fn open_api_v2(&self) -> Option<Destination<'_>> {
        self.open_api.v2.map(|set| self.destination(set))
    }

    /// Who answers for a document below `/openapi/v3/`, unless it is the same
    /// on every peer, or unknown.
    #[must_use]
    pub fn open_api_v3(&self, path: &[u8]) -> Option<Destination<'_>> {
        let set = self.open_api.v3.get(str::from_utf8(path).ok()?)?;
        Some(self.destination(*set))
    }

    fn find_group(&self, group: &[u8]) -> Option<&Group> {
        find(&self.groups, |g| g.name.as_bytes().cmp(group))
    }

    fn find_version(&self, group: &[u8], version: &[u8]) -> Option<&Version> {
        find(&self.find_group(group)?.versions, |v| v.name.as_bytes().cmp(version))
    }

    fn destination(&self, set: u16) -> Destination<'_> {
        // An index out of range cannot be: see the module's invariant.
        match self.sets.get(usize::from(set)).and_then(|set| set.cluster.as_deref()) {
            Some(cluster) => self.named(cluster),
            None => Destination::Unavailable,
        }
    }

    /// Returns the destination with this cluster.
    pub(crate) fn named<'m>(&self, cluster: &'m str) -> Destination<'m> {
        if cluster == self.default_cluster {
            Destination::Default
        } else {
            Destination::Cluster(cluster)
        }
    }
}

fn find<T>(sorted: &[T], order: impl FnMut(&T) -> std::cmp::Ordering) -> Option<&T> {
    sorted.get(sorted.binary_search_by(order).ok()?)
}
