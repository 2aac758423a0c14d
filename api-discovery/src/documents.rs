//! Discovery documents: what the peers say, kept as they said it, and the one
//! document that says what all of them offer.
//!
//! ```text
//!  peer's /api, /apis ─▶ Aggregated ─┐              ┌─▶ /api, /apis (v2, v2beta1)
//!                                    ├─▶ merge ─────┼─▶ /apis, /apis/<g>, /apis/<g>/<v>, /api/v1
//!  peer's /openapi/v3 ─▶ OpenApiIndex┘              └─▶ /openapi/v3, and who answers below it
//! ```
//!
//! Pure: no I/O, no clock. A group is kept as the text that a peer sent, so
//! that fields which this program does not know survive, and groups of equal
//! text are held once for all peers. Only groups that differ are taken apart.
//!
//! The rules, each of them a test:
//! - A document is made only where what the serving peers say is not the same.
//! - Groups, versions and resources stand in the order on which the peers
//!   agree (`order.rs`), whoever was asked first.
//! - The first version of a group is one that every serving peer with that
//!   group has, if there is one.
//! - What is said of a resource is what the newest peer says that serves it;
//!   its subresources are those of all.
//! - A peer that is away adds only what is built into it.

mod content;
mod fields;
mod legacy;
mod made;
mod merge;
mod openapi;
mod order;
mod pack;
mod release;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use content::Content;
pub use legacy::{LegacyResource, aggregated_version};
pub use made::{Made, Says, Served, make};
pub use merge::Conflict;
pub use openapi::OpenApiIndex;
pub use pack::Packer;
pub use release::Release;

use fields::{Fields, items, text};

/// One half of a peer's aggregated discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregated {
    /// The document's `ETag`, without quotes.
    pub etag: Option<Box<str>>,
    /// The groups, in the peer's order; no name twice.
    pub groups: Vec<Arc<Group>>,
    /// Whether this is not all that the peer said, or more.
    pub amended: bool,
}

/// A group as a peer lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name; empty for the core group.
    pub name: Box<str>,
    /// Its versions, the preferred one first; no name twice.
    pub versions: Box<[Box<str>]>,
    /// Whether a version is stale or has no resources.
    pub hollow: bool,
    /// The item of the list (JSON).
    pub text: Box<str>,
}

/// The name of a group, and the name and text (JSON) of each of its versions.
pub type LegacyGroup = (Box<str>, Vec<(Box<str>, String)>);

impl Aggregated {
    /// A document of these groups; of a name that comes twice the first.
    #[must_use]
    pub fn new(groups: Vec<Group>) -> Self {
        let count = groups.len();
        let mut seen = HashSet::new();
        let groups: Vec<_> = groups
            .into_iter()
            .filter(|group| seen.insert(group.name.clone()))
            .map(Arc::new)
            .collect();
        let amended = groups.len() != count;
        Self { etag: None, groups, amended }
    }

    /// A document put together from what the older lists say: of each group the
    /// versions, each with its text.
    #[must_use]
    pub fn of_legacy(groups: Vec<LegacyGroup>) -> Self {
        let group = |(name, versions): LegacyGroup| {
            let hollow = |(_, text): &(Box<str>, String)| {
                Fields::parse(text).is_ok_and(|fields| is_hollow(&fields))
            };
            let metadata = match name.is_empty() {
                true => "{}".to_owned(),
                false => format!("{{\"name\":{}}}", fields::quoted(&name)),
            };
            let texts = fields::list(versions.iter().map(|(_, text)| text));
            let text = format!("{{\"metadata\":{metadata},\"versions\":{texts}}}").into();
            let hollow = versions.iter().any(hollow);
            let versions = versions.into_iter().map(|(version, _)| version).collect();
            Group { name, versions, hollow, text }
        };
        Self::new(groups.into_iter().map(group).collect())
    }

    /// What is believed after this answer: where it says that it is not
    /// current, or is empty, what was known before stays and is marked so.
    #[must_use]
    pub fn over(mut self, before: Option<&Self>) -> Self {
        if !self.groups.iter().any(|group| group.hollow) {
            return self;
        }
        let before = before.map(Self::by_name).unwrap_or_default();
        for group in self.groups.iter_mut().filter(|group| group.hollow) {
            let known = before.get(&*group.name);
            if let Some(text) = known.and_then(|known| refilled(&group.text, &known.text)) {
                *group = Arc::new(Group { text, ..Group::clone(group) });
                self.amended = true;
            }
        }
        self
    }

    /// Holds what another peer says as well only once.
    pub fn share_with(&mut self, other: &Self) {
        let others = other.by_name();
        for group in &mut self.groups {
            match others.get(&*group.name) {
                Some(other) if group == *other => group.clone_from(other),
                _ => {}
            }
        }
    }

    /// What stays known of a peer that is away: the groups that are built in.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Group) -> bool) -> Self {
        let groups: Vec<_> = self.groups.iter().filter(|group| keep(group)).cloned().collect();
        let amended = self.amended || groups.len() != self.groups.len();
        Self { etag: self.etag.clone(), groups, amended }
    }

    fn by_name(&self) -> HashMap<&str, &Arc<Group>> {
        self.groups.iter().map(|group| (&*group.name, group)).collect()
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Group>, &Arc<Group>)| Arc::ptr_eq(a, b) || a.text == b.text;
        self.groups.len() == other.groups.len() && self.groups.iter().zip(&other.groups).all(same)
    }
}

/// The text of a group in which the versions that are stale or empty have the
/// resources known before. None if there is nothing to fill in.
fn refilled(now: &str, before: &str) -> Option<Box<str>> {
    let now = Fields::parse(now).ok()?;
    let before = Fields::parse(before).ok()?;
    let known = before.named("versions", "version");
    let mut filled = false;
    let versions = now.named("versions", "version").into_iter().map(|(name, value)| {
        let fields = Fields::parse(value.get()).ok();
        let hollow = fields.as_ref().is_some_and(is_hollow);
        let same = known.iter().find(|(other, _)| *other == name).filter(|_| hollow);
        let resources = same.and_then(|(_, value)| {
            let resources = Fields::parse(value.get()).ok()?.get("resources")?;
            (!items(resources).is_empty()).then_some(resources)
        });
        match (fields, resources) {
            (Some(fields), Some(resources)) => {
                filled = true;
                fields.with(&[("resources", resources.get()), ("freshness", "\"Stale\"")])
            }
            _ => value.get().to_owned(),
        }
    });
    let versions = fields::list(versions);
    filled.then(|| now.with(&[("versions", &versions)]).into_boxed_str())
}

/// Whether a version says nothing that takes away what was known.
fn is_hollow(version: &Fields<'_>) -> bool {
    is_stale(version) || version.get("resources").is_none_or(|list| items(list).is_empty())
}

fn is_stale(version: &Fields<'_>) -> bool {
    version.get("freshness").and_then(text).as_deref() == Some("Stale")
}
