//! The merge of aggregated discovery: groups, in them versions, in them
//! resources, in them subresources. Only what differs is taken apart.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::order::{self, ByName};
use crate::fields::{Fields, items, list, text};
use crate::listing::{Group, Listing};

/// A listing, group, version or resource as one peer has it. A list of these is
/// in the order of the peers' rank.
#[derive(Clone, Copy)]
pub(super) struct Entry<T> {
    pub value: T,
    pub serving: bool,
}

/// A group of a merged document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedGroup {
    /// Its name; empty for the core group.
    pub name: Box<str>,
    /// Its versions, the preferred one first.
    pub versions: Vec<Box<str>>,
    /// Its item in aggregated discovery (JSON).
    pub text: Arc<str>,
}

/// A resource that peers define differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// `group/version/resource`, as in a path.
    pub resource: String,
    /// `kind` or `scope`.
    pub field: &'static str,
    /// What the peers say; the first is what the merged document says.
    pub values: Vec<String>,
}

/// Whether a version of a group is built into a kube-apiserver.
pub(super) type IsBuiltIn<'b> = &'b dyn Fn(&str, &str) -> bool;

/// Merges. Returns the groups, and where the peers contradict each other.
pub(super) fn merge(
    listings: &[Entry<&Listing>],
    is_built_in: IsBuiltIn<'_>,
) -> (Vec<MergedGroup>, BTreeSet<Conflict>) {
    let refreshed = refreshed_elsewhere(listings);
    let mut merger = Merger { is_built_in, refreshed, conflicts: BTreeSet::new() };
    let mut groups = ByName::new();
    for &Entry { value: listing, serving } in listings {
        let entries = listing.groups().iter().map(|group| Entry { value: group, serving });
        let counted = entries.filter(|entry| merger.counts_in_part(entry));
        groups.add_list(counted.map(|entry| (Cow::Borrowed(&*entry.value.names.name), entry)));
    }
    // Names without a dot are Kubernetes' own, and its own come first.
    let between = |a: &str, b: &str| a.contains('.').cmp(&b.contains('.')).then_with(|| a.cmp(b));
    let names = groups.names(between).into_iter();
    let merged = names.filter_map(|name| merger.group(name, groups.entries(name))).collect();
    (merged, merger.conflicts)
}

/// Returns the versions that one peer in rotation calls stale and another does not.
fn refreshed_elsewhere<'l>(listings: &[Entry<&'l Listing>]) -> HashSet<(&'l str, &'l str)> {
    let serving = listings.iter().filter(|entry| entry.serving);
    let versions = serving.flat_map(|entry| entry.value.group_versions());
    let (mut stale, mut fresh) = (HashSet::new(), HashSet::new());
    for (group, version) in versions {
        let says = if version.stale { &mut stale } else { &mut fresh };
        says.insert((group, &*version.name));
    }
    stale.retain(|version| fresh.contains(version));
    stale
}

struct Merger<'m> {
    is_built_in: IsBuiltIn<'m>,
    /// The versions that one peer in rotation calls stale and another does not.
    refreshed: HashSet<(&'m str, &'m str)>,
    conflicts: BTreeSet<Conflict>,
}

impl Merger<'_> {
    /// Returns whether a version that a peer lists counts. What is not built into a peer counts
    /// only if the peer is in rotation, and a stale list of it only if no other peer has a fresh
    /// one: they all describe the same server's API.
    fn counts(&self, entry: &Entry<&Group>, version: &str) -> bool {
        let group = &*entry.value.names.name;
        // The text may have versions that no path could carry.
        let Some(listed) = entry.value.names.version(version) else { return false };
        let is_superseded = || listed.stale && self.refreshed.contains(&(group, version));
        (self.is_built_in)(group, version) || (entry.serving && !is_superseded())
    }

    fn counts_in_part(&self, entry: &Entry<&Group>) -> bool {
        let mut versions = entry.value.names.versions.iter();
        entry.value.text.is_some() && versions.any(|version| self.counts(entry, &version.name))
    }

    fn counts_in_whole(&self, entry: &Entry<&Group>) -> bool {
        let mut versions = entry.value.names.versions.iter();
        versions.all(|version| self.counts(entry, &version.name))
    }

    fn group(&mut self, name: &str, entries: &[Entry<&Group>]) -> Option<MergedGroup> {
        if let Some(group) = self.unanimous_group(entries) {
            return Some(group);
        }
        let mut base = None;
        let mut versions = ByName::new();
        for entry in entries {
            let Ok(fields) = Fields::parse(entry.value.text.as_deref()?) else { continue };
            let listed = fields.named("versions", "version").into_iter();
            let counted = listed.filter(|(version, _)| self.counts(entry, version));
            versions.add_list(
                counted.map(|(name, value)| (name, Entry { value, serving: entry.serving })),
            );
            base.get_or_insert(fields);
        }
        let serving = entries.iter().filter(|entry| entry.serving).count();
        let order = preferred_first(&versions, serving);
        let texts = order
            .iter()
            .map(|version| self.version(&format!("{name}/{version}"), versions.entries(version)));
        Some(MergedGroup {
            name: name.into(),
            text: base?.with(&[("versions", &list(texts))]).into(),
            versions: order.iter().map(|&version| version.into()).collect(),
        })
    }

    /// Returns the group if all peers say the same, and all of it counts.
    fn unanimous_group(&self, entries: &[Entry<&Group>]) -> Option<MergedGroup> {
        let Group { names, text } = entries.first()?.value;
        let same = |entry: &Entry<&Group>| entry.value.text == *text && self.counts_in_whole(entry);
        let versions = names.versions.iter().map(|version| version.name.clone());
        entries.iter().all(same).then_some(MergedGroup {
            name: names.name.clone(),
            versions: versions.collect(),
            text: text.clone()?,
        })
    }

    fn version(&mut self, place: &str, entries: &[Entry<&RawValue>]) -> String {
        if let Some(text) = unanimous_text(entries) {
            return text.to_owned();
        }
        let mut parsed = parse(entries);
        // A stale list counts less than the current one of an older peer.
        parsed.sort_by_key(|entry| (!entry.serving, is_stale(&entry.value)));
        let mut resources = ByName::new();
        for Entry { value, serving } in &parsed {
            let listed = value.named("resources", "resource").into_iter();
            resources
                .add_list(listed.map(|(name, value)| (name, Entry { value, serving: *serving })));
        }
        // The first is current if the list of any serving peer is.
        let Some(base) = parsed.first() else { return "{}".to_owned() };
        let texts = resources.names(str::cmp).into_iter().map(|resource| {
            self.resource(&format!("{place}/{resource}"), resources.entries(resource))
        });
        base.value.with(&[("resources", &list(texts))])
    }

    fn resource(&mut self, place: &str, entries: &[Entry<&RawValue>]) -> String {
        if let Some(text) = unanimous_text(entries) {
            return text.to_owned();
        }
        let parsed = parse(entries);
        // A resource is listed without verbs if only its subresources are served.
        let is_served = |entry: &&Entry<Fields<'_>>| {
            entry.value.get("verbs").is_some_and(|verbs| !items(verbs).is_empty())
        };
        let base = parsed.iter().find(is_served).or(parsed.first());
        let Some(Entry { value: base, .. }) = base else { return "{}".to_owned() };
        self.note_conflicts(place, base, &parsed);
        let mut subresources = base.named("subresources", "subresource");
        let own = subresources.len();
        let mut seen: HashSet<_> = subresources.iter().map(|(name, _)| name.clone()).collect();
        let all = parsed.iter().flat_map(|entry| entry.value.named("subresources", "subresource"));
        subresources.extend(all.filter(|(name, _)| seen.insert(name.clone())));
        if subresources.len() == own {
            return base.with(&[]);
        }
        let subresources = list(subresources.iter().map(|(_, value)| value.get()));
        base.with(&[("subresources", &subresources)])
    }

    /// Notes where peers mean different things by one name.
    fn note_conflicts(&mut self, place: &str, base: &Fields<'_>, all: &[Entry<Fields<'_>>]) {
        type Read = fn(&Fields<'_>) -> Option<String>;
        let fields: [(&'static str, Read); 2] = [("kind", kind), ("scope", scope)];
        for (field, read) in fields {
            let Some(chosen) = read(base) else { continue };
            let others: BTreeSet<_> = all.iter().filter_map(|entry| read(&entry.value)).collect();
            if others.len() > 1 {
                let mut values = vec![chosen.clone()];
                values.extend(others.into_iter().filter(|value| *value != chosen));
                self.conflicts.insert(Conflict { resource: place.to_owned(), field, values });
            }
        }
    }
}

/// Returns the names of a group's versions. Clients use the first if they are
/// not told which, so it must be one that every serving peer with the group has;
/// if there is none, one that any serving peer has.
fn preferred_first<'v>(versions: &'v ByName<'_, Entry<&RawValue>>, serving: usize) -> Vec<&'v str> {
    let mut order = versions.names(order::versions);
    let served_by =
        |version: &str| versions.entries(version).iter().filter(|entry| entry.serving).count();
    let best = order.iter().position(|version| served_by(version) == serving);
    let best = best.or_else(|| order.iter().position(|version| served_by(version) > 0));
    if let Some(position) = best
        && let Some(start) = order.get_mut(..=position)
    {
        start.rotate_right(1);
    }
    order
}

fn parse<'s>(entries: &[Entry<&'s RawValue>]) -> Vec<Entry<Fields<'s>>> {
    let parsed = entries.iter().filter_map(|&Entry { value, serving }| {
        Some(Entry { value: Fields::parse(value.get()).ok()?, serving })
    });
    parsed.collect()
}

/// Returns the text of the entries if they all have the same.
fn unanimous_text<'s>(entries: &[Entry<&'s RawValue>]) -> Option<&'s str> {
    let first = entries.first()?.value.get();
    entries.iter().all(|entry| entry.value.get() == first).then_some(first)
}

fn is_stale(version: &Fields<'_>) -> bool {
    version.get("freshness").and_then(text).as_deref() == Some("Stale")
}

fn kind(resource: &Fields<'_>) -> Option<String> {
    let kind = Fields::parse(resource.get("responseKind")?.get()).ok()?.get("kind")?;
    text(kind).map(Cow::into_owned)
}

fn scope(resource: &Fields<'_>) -> Option<String> {
    text(resource.get("scope")?).map(Cow::into_owned)
}
