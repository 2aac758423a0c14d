//! What a peer lists: group → version → types, with each group's own text.
//!
//! A [`Listing`] is one half of a peer's discovery, both as an answer has it and as it is believed.
//! A group is kept as the text that the peer sent, so that fields which this program does not know
//! survive the merge. Names and texts are shared: what several peers say alike is in memory once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use discovery_map::Scope;
use serde::{Deserialize, Serialize};

use crate::verbs::Verbs;

/// The two halves of discovery, each with a document and an `ETag` of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `/api`: the core group.
    Core,
    /// `/apis`: all named groups.
    Named,
}

/// The resources (`pods`) and subresources (`pods/status`) of a group-version,
/// sorted. No name is in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Types {
    /// Those in a namespace.
    pub namespaced: Box<[Box<str>]>,
    /// Those of the whole cluster.
    pub cluster_scoped: Box<[Box<str>]>,
    /// The verbs of each: of those in a namespace, then of the others. Empty in what a companion
    /// saved that knew none.
    #[serde(default, skip_serializing_if = "<[Verbs]>::is_empty")]
    verbs: Box<[Verbs]>,
}

/// Types by name, with their verbs.
pub type Named = BTreeMap<Box<str>, Verbs>;

/// A version of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Its name, such as `v1beta1`.
    pub name: Box<str>,
    /// Its types.
    pub types: Types,
    /// Whether the types are those of an earlier answer, or of none: the peer says that it could
    /// not refresh this version, or lists no types where it listed some before. For an aggregated
    /// API that means that the peer cannot reach the API's own server.
    pub stale: bool,
}

/// The names in a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupNames {
    /// The group's name; empty for the core group.
    pub name: Box<str>,
    /// Its versions, the preferred one first; no name twice.
    pub versions: Box<[Version]>,
}

/// A group as a peer lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its names.
    pub names: Arc<GroupNames>,
    /// Its item in aggregated discovery (JSON). `None` if only the names survived a restart.
    pub text: Option<Arc<str>>,
}

/// One half of a peer's discovery. What is saved of it are the groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Group>", into = "Vec<Group>")]
pub struct Listing {
    /// The document's `ETag`, without quotes.
    pub etag: Option<Box<str>>,
    /// The groups, in the peer's order; no name twice.
    groups: Vec<Group>,
    /// Positions in `groups`, sorted by the groups' names.
    by_name: Box<[usize]>,
    /// Whether the texts differ from what the peer said.
    pub(crate) amended: bool,
    /// Whether this was restored after a restart and not read since.
    pub(crate) restored: bool,
}

impl Part {
    /// Both halves.
    pub const ALL: [Self; 2] = [Self::Core, Self::Named];

    /// Returns the path of the document.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Core => "/api",
            Self::Named => "/apis",
        }
    }

    /// Returns the half that lists a group.
    #[must_use]
    pub fn of_group(group: &str) -> Self {
        if group.is_empty() { Self::Core } else { Self::Named }
    }
}

/// Returns the path of a group-version: `/api/v1`, `/apis/apps/v1`.
#[must_use]
pub fn group_version_path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

impl Types {
    /// A resource has one scope. No server is known to give one two; if it
    /// does, the scope is the namespace, because two would make the map invalid.
    #[must_use]
    pub fn new(namespaced: Named, mut cluster_scoped: Named) -> Self {
        cluster_scoped.retain(|name, _| !namespaced.contains_key(name));
        let verbs = namespaced.values().chain(cluster_scoped.values()).copied().collect();
        Self {
            namespaced: namespaced.into_keys().collect(),
            cluster_scoped: cluster_scoped.into_keys().collect(),
            verbs,
        }
    }

    /// Returns every type with its scope and its verbs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Scope, Verbs)> {
        let namespaced = self.namespaced.iter().map(|name| (&**name, Scope::Namespaced));
        let cluster_scoped = self.cluster_scoped.iter().map(|name| (&**name, Scope::Cluster));
        let unknown = std::iter::repeat(Verbs::default());
        let verbs = self.verbs.iter().copied().chain(unknown);
        let types = namespaced.chain(cluster_scoped).zip(verbs);
        types.map(|((name, scope), verbs)| (name, scope, verbs))
    }

    /// Returns whether `name` is a type, in `scope` if one is given.
    #[must_use]
    pub fn has(&self, name: &str, scope: Option<Scope>) -> bool {
        let is_in = |names: &[Box<str>]| names.binary_search_by(|n| (**n).cmp(name)).is_ok();
        (scope != Some(Scope::Cluster) && is_in(&self.namespaced))
            || (scope != Some(Scope::Namespaced) && is_in(&self.cluster_scoped))
    }

    /// Returns the number of types.
    #[must_use]
    pub fn count(&self) -> usize {
        self.namespaced.len() + self.cluster_scoped.len()
    }
}

impl Version {
    /// Returns whether this takes nothing away from what was known: the version
    /// is not current, or has no types.
    pub(crate) fn is_inconclusive(&self) -> bool {
        self.stale || self.types.count() == 0
    }
}

impl GroupNames {
    /// Returns the version `name`.
    #[must_use]
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| &*version.name == name)
    }
}

impl From<Vec<Group>> for Listing {
    /// Returns a listing of groups that were read before a restart. It tells what a peer serves,
    /// but no document is made of it while the peer is in rotation, because texts are missing.
    fn from(groups: Vec<Group>) -> Self {
        Self { restored: true, ..Self::new(groups) }
    }
}

impl From<Listing> for Vec<Group> {
    fn from(listing: Listing) -> Self {
        listing.groups
    }
}

impl Listing {
    /// Returns a listing of these groups, in the peer's order. If a name comes
    /// twice, the first group counts.
    #[must_use]
    pub fn new(mut groups: Vec<Group>) -> Self {
        let mut seen = HashSet::with_capacity(groups.len());
        let count = groups.len();
        groups.retain(|group| seen.insert(group.names.name.clone()));
        let amended = groups.len() != count;
        let mut by_name: Vec<_> = groups.iter().enumerate().collect();
        by_name.sort_unstable_by_key(|(_, group)| &*group.names.name);
        let by_name = by_name.into_iter().map(|(position, _)| position).collect();
        Self { etag: None, groups, by_name, amended, restored: false }
    }

    /// Returns the groups, in the peer's order.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Returns the group `name`.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        let position = |at: &usize| self.groups.get(*at).map(|group| &*group.names.name);
        let found = self.by_name.binary_search_by(|at| position(at).cmp(&Some(name))).ok()?;
        self.groups.get(*self.by_name.get(found)?)
    }

    pub(crate) fn groups_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.groups.iter_mut()
    }

    /// Returns what the next run needs: all names, and the texts of the groups that
    /// are built into the peer. No other text counts while the peer is away.
    pub(crate) fn to_save(&self, is_built_in: impl Fn(&str, &str) -> bool) -> Self {
        let mut saved = Self { etag: None, restored: true, ..self.clone() };
        // What was restored was found to be built in when it was saved.
        for group in saved.groups.iter_mut().filter(|_| !self.restored) {
            let names = &group.names;
            if !names.versions.iter().any(|version| is_built_in(&names.name, &version.name)) {
                group.text = None;
            }
        }
        saved
    }

    /// Returns every version with the name of its group.
    pub(crate) fn group_versions(&self) -> impl Iterator<Item = (&str, &Version)> {
        self.groups.iter().flat_map(|Group { names, .. }| {
            names.versions.iter().map(|version| (&*names.name, version))
        })
    }

    /// Returns whether both list the same types, in any order, and vouch for the same versions.
    pub(crate) fn has_same_types_as(&self, other: &Self) -> bool {
        let own: HashSet<_> = self.group_versions().collect();
        own == other.group_versions().collect()
    }

    /// Returns whether both have the same texts in the same order.
    pub(crate) fn has_same_texts_as(&self, other: &Self) -> bool {
        self.groups.iter().map(|group| &group.text).eq(other.groups.iter().map(|group| &group.text))
    }

    /// Shares what `other` says as well.
    pub(crate) fn share_with(&mut self, other: &Self) {
        for group in &mut self.groups {
            let Some(other) = other.group(&group.names.name) else { continue };
            if group.names == other.names {
                group.names = Arc::clone(&other.names);
            }
            if group.text == other.text {
                group.text.clone_from(&other.text);
            }
        }
    }
}
