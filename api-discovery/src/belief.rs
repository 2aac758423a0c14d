//! What is believed of one peer after all its answers.
//!
//! One rule holds for names, texts and the index of OpenAPI v3: an answer replaces what was known,
//! unless it does not vouch for what it leaves out. A group-version that is stale or has no types
//! keeps the types known before, and is stale itself: whoever merges peers prefers those that vouch
//! for it. A document that lists nothing at all changes nothing: no server serves nothing, so it is
//! not ready to say, or something in between answered. A failed read never gets here, so it changes
//! nothing either.

use std::collections::HashSet;
use std::sync::Arc;

use discovery_map::Scope;
use serde::{Deserialize, Serialize};

use crate::fields::{Fields, items, list};
use crate::legacy_reader::LegacyGroupVersion;
use crate::listing::{GroupNames, Listing, Part, Version};
use crate::openapi::OpenApiIndex;
use crate::storage::StorageVersions;

/// What is believed of one peer. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belief {
    pub(crate) core: Option<Arc<Listing>>,
    pub(crate) named: Option<Arc<Listing>>,
    #[serde(skip)]
    pub(crate) open_api: Option<Arc<OpenApiIndex>>,
    #[serde(skip)]
    pub(crate) storage: Arc<StorageVersions>,
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// How the types are described, but not which there are.
    Details,
    /// Which types there are, or which versions are stale.
    Types,
}

impl Belief {
    /// Takes in what one half of discovery lists.
    pub fn update(&mut self, part: Part, answer: Listing) -> Change {
        let known = match part {
            Part::Core => &mut self.core,
            Part::Named => &mut self.named,
        };
        if answer.groups().is_empty() {
            return Change::Nothing;
        }
        let Some(before) = known else {
            *known = Some(Arc::new(answer));
            return Change::Types;
        };
        let mut now = fill_gaps(answer, before);
        if **before == now {
            return Change::Nothing;
        }
        let same_types = before.has_same_types_as(&now);
        now.share_with(before);
        *before = Arc::new(now);
        if same_types { Change::Details } else { Change::Types }
    }

    /// Takes in an index of OpenAPI v3. Returns whether it changed.
    pub fn update_open_api(&mut self, answer: OpenApiIndex) -> bool {
        if answer.0.is_empty() || self.open_api.as_deref() == Some(&answer) {
            return false;
        }
        self.open_api = Some(Arc::new(answer));
        true
    }

    /// Takes in the older document of a group-version, for its storage versions. Returns whether
    /// they changed.
    pub fn update_storage(
        &mut self,
        group: &str,
        version: &str,
        document: &LegacyGroupVersion,
    ) -> bool {
        Arc::make_mut(&mut self.storage).update(group, version, document)
    }

    /// Forgets the storage versions: the peer may have been started anew, as another version.
    pub fn forget_storage(&mut self) {
        self.storage = Arc::default();
    }

    /// Returns one half of discovery, if it is known.
    #[must_use]
    pub fn listing(&self, part: Part) -> Option<&Listing> {
        match part {
            Part::Core => self.core.as_deref(),
            Part::Named => self.named.as_deref(),
        }
    }

    /// Returns whether both halves are known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.core.is_some() && self.named.is_some()
    }

    /// Returns whether the peer has a group; with `version`, that version; with
    /// `resource` (`pods`, `pods/status`), that type, in `scope` if one is given.
    #[must_use]
    pub fn has(
        &self,
        group: &str,
        version: Option<&str>,
        resource: Option<&str>,
        scope: Option<Scope>,
    ) -> bool {
        let listing = self.listing(Part::of_group(group));
        let Some(group) = listing.and_then(|listing| listing.group(group)) else { return false };
        let Some(version) = version else { return true };
        let Some(version) = group.names.version(version) else { return false };
        resource.is_none_or(|name| version.types.has(name, scope))
    }

    /// Returns every version with the name of its group.
    pub fn group_versions(&self) -> impl Iterator<Item = (&str, &Version)> {
        let halves = [&self.core, &self.named].into_iter().flatten();
        halves.flat_map(|listing| listing.group_versions())
    }

    /// Returns the number of types.
    #[must_use]
    pub fn type_count(&self) -> usize {
        self.group_versions().map(|(_, version)| version.types.count()).sum()
    }

    /// Returns whether both peers serve the same types, and vouch for the same versions.
    #[must_use]
    pub fn has_same_types_as(&self, other: &Self) -> bool {
        let own: HashSet<_> = self.group_versions().collect();
        own == other.group_versions().collect()
    }

    /// Returns what the next run needs. `is_built_in` tells whether a version of a
    /// group is built into the peer.
    #[must_use]
    pub fn to_save(&self, is_built_in: impl Fn(&str, &str) -> bool) -> Self {
        let saved = |part| Some(Arc::new(self.listing(part)?.to_save(&is_built_in)));
        Self {
            core: saved(Part::Core),
            named: saved(Part::Named),
            open_api: None,
            storage: Arc::default(),
        }
    }

    /// Holds in memory only once what another peer says as well: most peers say
    /// the same, and with many CRDs that is much.
    pub fn share_with(&mut self, other: &Self) {
        for (own, other) in [(&mut self.core, &other.core), (&mut self.named, &other.named)] {
            let (Some(known), Some(other)) = (own, other) else { continue };
            if known == other {
                *known = Arc::clone(other);
            } else {
                Arc::make_mut(known).share_with(other);
            }
        }
        if self.open_api == other.open_api {
            self.open_api.clone_from(&other.open_api);
        }
    }
}

/// Returns the answer with what was known before in place of what it does not vouch for.
fn fill_gaps(mut answer: Listing, before: &Listing) -> Listing {
    let mut amended = answer.amended;
    for group in answer.groups_mut() {
        if !group.names.versions.iter().any(Version::is_inconclusive) {
            continue;
        }
        let Some(known) = before.group(&group.names.name) else { continue };
        if let (Some(now), Some(before)) = (&group.text, &known.text)
            && let Some(text) = with_known_resources(now, before, &group.names)
        {
            group.text = Some(text);
            amended = true;
        }
        group.names = Arc::new(with_known_types(&group.names, &known.names));
    }
    answer.amended = amended;
    answer
}

/// Returns the names of a group, with the types known before in the versions that are inconclusive.
fn with_known_types(now: &GroupNames, before: &GroupNames) -> GroupNames {
    let mut names = now.clone();
    for version in names.versions.iter_mut().filter(|version| version.is_inconclusive()) {
        if let Some(known) = before.version(&version.name) {
            version.types = known.types.clone();
            version.stale |= version.types.count() > 0;
        }
    }
    names
}

/// Returns the text of a group in which the inconclusive versions have the
/// resources known before and are marked as stale. `None` if there are none.
fn with_known_resources(now: &str, before: &str, names: &GroupNames) -> Option<Arc<str>> {
    let now = Fields::parse(now).ok()?;
    let before = Fields::parse(before).ok()?;
    let known = before.named("versions", "version");
    let mut changed = false;
    let versions = now.named("versions", "version").into_iter().map(|(name, value)| {
        let inconclusive = names.version(&name).is_some_and(Version::is_inconclusive);
        let known = known.iter().find(|(other, _)| inconclusive && *other == name);
        let resources = known.and_then(|(_, value)| {
            let resources = Fields::parse(value.get()).ok()?.get("resources")?;
            (!items(resources).is_empty()).then_some(resources)
        });
        match (Fields::parse(value.get()), resources) {
            (Ok(fields), Some(resources)) => {
                changed = true;
                fields.with(&[("resources", resources.get()), ("freshness", "\"Stale\"")])
            }
            _ => value.get().to_owned(),
        }
    });
    let versions = list(versions);
    changed.then(|| now.with(&[("versions", &versions)]).into())
}

#[cfg(test)]
mod tests;
