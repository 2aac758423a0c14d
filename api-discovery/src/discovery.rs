//! What a peer serves: group → version → resources.
//!
//! A [`Listing`] is what one answer says; [`Known`] is what is believed of a
//! peer after all its answers. Between them stands one rule: an answer that
//! says of itself that it is not current (a stale group-version), or that is
//! implausibly empty, does not take away what was known.

mod origin;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use discovery_map::Scope;
use serde::{Deserialize, Serialize};

pub use origin::{Origins, OriginsList};
pub use parse::{Document, LegacyGroupVersion};

/// group → version → what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(pub BTreeMap<Box<str>, BTreeMap<Box<str>, Types>>);

/// The resources (`pods`) and subresources (`pods/status`) of a group-version,
/// sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Types {
    /// Those in a namespace.
    pub namespaced: Box<[Box<str>]>,
    /// Those of the whole cluster.
    pub cluster_scoped: Box<[Box<str>]>,
}

/// The two halves of discovery, each with a document and an `ETag` of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `/api`: the core group.
    Core,
    /// `/apis`: all named groups.
    Named,
}

/// What one answer lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(pub BTreeMap<Box<str>, BTreeMap<Box<str>, ListedVersion>>);

/// A group-version as an answer lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedVersion {
    /// The resources and subresources in a namespace.
    pub namespaced: BTreeSet<Box<str>>,
    /// The resources and subresources of the whole cluster.
    pub cluster_scoped: BTreeSet<Box<str>>,
    /// The peer says that it could not refresh this group-version.
    pub stale: bool,
}

/// What is believed of one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    core: Option<Arc<Groups>>,
    named: Option<Arc<Groups>>,
}

impl Part {
    /// Both halves.
    pub const ALL: [Self; 2] = [Self::Core, Self::Named];

    /// The path of the document.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Core => "/api",
            Self::Named => "/apis",
        }
    }
}

impl Known {
    /// Takes an answer in; whether anything is different now.
    pub fn update(&mut self, part: Part, listing: Listing) -> bool {
        let known = match part {
            Part::Core => &mut self.core,
            Part::Named => &mut self.named,
        };
        // No server serves nothing: it is not ready to say, or something in
        // between answered.
        if listing.0.is_empty() {
            return false;
        }
        let groups = listing.over(known.as_deref());
        if known.as_deref() == Some(&groups) {
            return false;
        }
        *known = Some(Arc::new(groups));
        true
    }

    /// Whether both halves were read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.core.is_some() && self.named.is_some()
    }

    /// Whether a group is there; with `version` that, with `resource` (`pods`,
    /// `pods/status`) that, in `scope` if one is given.
    #[must_use]
    pub fn has(
        &self,
        group: &str,
        version: Option<&str>,
        resource: Option<&str>,
        scope: Option<Scope>,
    ) -> bool {
        let half = if group.is_empty() { &self.core } else { &self.named };
        let Some(versions) = half.as_ref().and_then(|groups| groups.0.get(group)) else {
            return false;
        };
        let Some(version) = version else { return true };
        let Some(types) = versions.get(version) else { return false };
        resource.is_none_or(|name| {
            let has = |names: &[Box<str>]| names.binary_search_by(|n| (**n).cmp(name)).is_ok();
            (scope != Some(Scope::Cluster) && has(&types.namespaced))
                || (scope != Some(Scope::Namespaced) && has(&types.cluster_scoped))
        })
    }

    /// Every group-version with its resources.
    pub fn group_versions(&self) -> impl Iterator<Item = (&str, &str, &Types)> {
        [&self.core, &self.named].into_iter().flatten().flat_map(|groups| {
            groups.0.iter().flat_map(|(group, versions)| {
                versions.iter().map(|(version, types)| (&**group, &**version, types))
            })
        })
    }

    /// Keeps what another peer serves as well only once: most peers serve the
    /// same, and with many CRDs that is much.
    pub fn share_with(&mut self, other: &Self) {
        let halves = [(&mut self.core, &other.core), (&mut self.named, &other.named)];
        for (own, other) in halves {
            if own.is_some() && own == other {
                own.clone_from(other);
            }
        }
    }

    /// How many resources and subresources are known.
    #[must_use]
    pub fn type_count(&self) -> usize {
        let types = self.group_versions().map(|(_, _, types)| types);
        types.map(|types| types.namespaced.len() + types.cluster_scoped.len()).sum()
    }
}

impl Listing {
    fn over(self, known: Option<&Groups>) -> Groups {
        let groups = self.0.into_iter().map(|(group, versions)| {
            let before = known.and_then(|known| known.0.get(&group));
            let versions = versions.into_iter().map(|(version, listed)| {
                let types = listed.over(before.and_then(|versions| versions.get(&version)));
                (version, types)
            });
            let versions = versions.collect();
            (group, versions)
        });
        Groups(groups.collect())
    }
}

impl ListedVersion {
    fn over(self, known: Option<&Types>) -> Types {
        let empty = self.namespaced.is_empty() && self.cluster_scoped.is_empty();
        match known {
            Some(known) if self.stale || empty => known.clone(),
            _ => Types {
                namespaced: self.namespaced.into_iter().collect(),
                cluster_scoped: self.cluster_scoped.into_iter().collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(versions: &[(&str, &str, &[&str], bool)]) -> Listing {
        let mut listing = Listing::default();
        for &(group, version, resources, stale) in versions {
            let namespaced = resources.iter().map(|&name| name.into()).collect();
            let listed = ListedVersion { namespaced, stale, ..Default::default() };
            listing.0.entry(group.into()).or_default().insert(version.into(), listed);
        }
        listing
    }

    fn resources(known: &Known) -> Vec<String> {
        let versions = known.group_versions();
        let name = |(group, version, types): (&str, &str, &Types)| {
            let names = types.namespaced.iter();
            names.map(|name| format!("{group}/{version}/{name}")).collect::<Vec<_>>()
        };
        versions.flat_map(name).collect()
    }

    #[test]
    fn a_current_answer_replaces_what_was_known() {
        let mut known = Known::default();
        assert!(known.update(Part::Named, listing(&[("apps", "v1", &["a", "b"], false)])));
        assert!(known.update(Part::Named, listing(&[("apps", "v1", &["b"], false)])));
        assert_eq!(resources(&known), ["apps/v1/b"]);
        assert!(!known.update(Part::Named, listing(&[("apps", "v1", &["b"], false)])));
    }

    #[test]
    fn a_stale_or_empty_group_version_keeps_what_was_known() {
        let mut known = Known::default();
        known.update(Part::Named, listing(&[("metrics", "v1", &["nodes", "pods"], false)]));
        assert!(!known.update(Part::Named, listing(&[("metrics", "v1", &[], true)])));
        assert!(!known.update(Part::Named, listing(&[("metrics", "v1", &["nodes"], true)])));
        assert!(!known.update(Part::Named, listing(&[("metrics", "v1", &[], false)])));
        assert_eq!(resources(&known), ["metrics/v1/nodes", "metrics/v1/pods"]);
    }

    #[test]
    fn an_empty_list_is_not_believed() {
        let mut known = Known::default();
        assert!(!known.update(Part::Named, Listing::default()));
        assert!(!known.is_complete());
        known.update(Part::Named, listing(&[("apps", "v1", &["a"], false)]));
        assert!(!known.update(Part::Named, Listing::default()));
        assert_eq!(known.type_count(), 1);
    }

    #[test]
    fn the_halves_are_known_separately() {
        let mut known = Known::default();
        known.update(Part::Core, listing(&[("", "v1", &["pods"], false)]));
        assert!(!known.is_complete());
        known.update(Part::Named, listing(&[("apps", "v1", &["a"], false)]));
        assert!(known.is_complete());
        assert_eq!(resources(&known), ["/v1/pods", "apps/v1/a"]);
    }

    #[test]
    fn a_group_that_is_no_longer_listed_is_gone() {
        let mut known = Known::default();
        known.update(
            Part::Named,
            listing(&[("apps", "v1", &["a"], false), ("crd", "v1", &["b"], false)]),
        );
        known.update(Part::Named, listing(&[("apps", "v1", &["a"], false)]));
        assert_eq!(resources(&known), ["apps/v1/a"]);
    }
}
