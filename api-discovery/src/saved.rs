//! What a belief leaves behind for the next run, in the form of the state file.
//!
//! All names, and the texts of the groups that are built into the peer: those
//! alone count in merged documents while the peer is away. The rest of the texts
//! is used only for peers that answer, and those are read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::belief::Belief;
use crate::listing::{Group, GroupNames, Listing, Part, Types, Version};

/// The names that a peer listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedNames {
    core: Option<SavedHalf>,
    named: Option<SavedHalf>,
}

/// The texts that a peer sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedTexts {
    core: Option<SavedDocument>,
    named: Option<SavedDocument>,
}

/// Written as group → version → types.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeMap<Box<str>, BTreeMap<Box<str>, Types>>")]
struct SavedHalf(Vec<Arc<GroupNames>>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedDocument {
    groups: Vec<SavedText>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedText {
    name: Box<str>,
    versions: Vec<Box<str>>,
    text: Arc<str>,
}

impl From<BTreeMap<Box<str>, BTreeMap<Box<str>, Types>>> for SavedHalf {
    fn from(groups: BTreeMap<Box<str>, BTreeMap<Box<str>, Types>>) -> Self {
        let version = |(name, types)| Version { name, types, stale: false };
        let groups = groups.into_iter().map(|(name, versions)| {
            Arc::new(GroupNames { name, versions: versions.into_iter().map(version).collect() })
        });
        Self(groups.collect())
    }
}

impl Serialize for SavedHalf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Versions<'v>(&'v [Version]);

        impl Serialize for Versions<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|version| (&version.name, &version.types)))
            }
        }

        serializer.collect_map(self.0.iter().map(|group| (&group.name, Versions(&group.versions))))
    }
}

impl Belief {
    /// Returns what the next run needs. `is_built_in` tells whether a version of
    /// a group is built into the peer.
    #[must_use]
    pub fn save(&self, is_built_in: impl Fn(&str, &str) -> bool) -> (SavedNames, SavedTexts) {
        let names = |part| self.listing(part).map(SavedHalf::of);
        let texts = |part| self.listing(part).map(|half| SavedDocument::of(half, &is_built_in));
        (
            SavedNames { core: names(Part::Core), named: names(Part::Named) },
            SavedTexts { core: texts(Part::Core), named: texts(Part::Named) },
        )
    }

    /// Returns what an earlier run believed. Until the peer is read again, its
    /// texts count only while it is away, because they are not all that it has.
    #[must_use]
    pub fn restore(names: SavedNames, texts: SavedTexts) -> Self {
        let listing = |names: Option<SavedHalf>, texts: Option<SavedDocument>| {
            names.map(|names| Arc::new(names.restore(texts)))
        };
        Self {
            core: listing(names.core, texts.core),
            named: listing(names.named, texts.named),
            open_api: None,
        }
    }
}

impl SavedHalf {
    fn of(listing: &Listing) -> Self {
        Self(listing.groups().iter().map(|group| Arc::clone(&group.names)).collect())
    }

    /// Returns the groups that have a text, in the peer's order, and then the
    /// others.
    fn restore(self, texts: Option<SavedDocument>) -> Listing {
        let by_name = self.0.into_iter().map(|names| (names.name.clone(), names));
        let mut by_name: BTreeMap<_, _> = by_name.collect();
        let mut groups = Vec::with_capacity(by_name.len());
        for SavedText { name, versions, text } in texts.into_iter().flat_map(|texts| texts.groups) {
            let Some(mut names) = by_name.remove(&name) else { continue };
            let place = |version: &Version| versions.iter().position(|name| *name == version.name);
            Arc::make_mut(&mut names).versions.sort_by_key(place);
            groups.push(Group { names, text: Some(text) });
        }
        groups.extend(by_name.into_values().map(|names| Group { names, text: None }));
        Listing::restored(groups)
    }
}

impl SavedDocument {
    fn of(listing: &Listing, is_built_in: impl Fn(&str, &str) -> bool) -> Self {
        let saved = |Group { names, text }: &Group| {
            let mut versions = names.versions.iter();
            // A restored text was found to be built in when it was saved.
            let counts =
                listing.restored || versions.any(|version| is_built_in(&names.name, &version.name));
            Some(SavedText {
                name: names.name.clone(),
                versions: names.versions.iter().map(|version| version.name.clone()).collect(),
                text: text.clone().filter(|_| counts)?,
            })
        };
        Self { groups: listing.groups().iter().filter_map(saved).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written before names and texts were one belief.
    const SAVED: [&str; 2] = [
        r#"{"core":null,"named":{"apps":{"v1":{"namespaced":["a"],"clusterScoped":[]},
            "v1beta1":{"namespaced":["b"],"clusterScoped":[]}},
            "c.example.com":{"v1":{"namespaced":[],"clusterScoped":["c"]}}}}"#,
        r#"{"core":null,"named":{"etag":"E","amended":true,"groups":[
            {"name":"apps","versions":["v1beta1","v1"],"hollow":false,"text":"{}"}]}}"#,
    ];

    #[test]
    fn what_was_saved_is_restored_with_the_texts_of_what_is_built_in() {
        let [names, texts] = SAVED;
        let names: SavedNames = serde_json::from_str(names).unwrap();
        let belief = Belief::restore(names, serde_json::from_str(texts).unwrap());
        assert!(!belief.is_complete());
        let groups = belief.listing(Part::Named).unwrap().groups();
        let texts: Vec<_> =
            groups.iter().map(|group| (&*group.names.name, group.text.as_deref())).collect();
        assert_eq!(texts, [("apps", Some("{}")), ("c.example.com", None)]);
        let versions: Vec<_> = belief.group_versions().map(|(_, version, _)| version).collect();
        assert_eq!(versions, ["v1beta1", "v1", "v1"]);

        let (names, texts) = belief.save(|_, _| false);
        let names = serde_json::to_value(names).unwrap();
        assert_eq!(names, serde_json::from_str::<serde_json::Value>(SAVED[0]).unwrap());
        let names = serde_json::from_value(names).unwrap();
        let texts = serde_json::from_value(serde_json::to_value(texts).unwrap()).unwrap();
        assert_eq!(Belief::restore(names, texts), belief);
    }
}
