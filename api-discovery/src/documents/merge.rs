//! The merge of aggregated discovery.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::fields::{self, Fields, items, text};
use super::{Aggregated, Group, is_stale, order};

/// What one peer adds. A list of these has the peer first whose word counts
/// most.
#[derive(Clone, Copy)]
pub(super) struct Source<'s> {
    pub document: &'s Aggregated,
    pub serving: bool,
}

/// Peers that do not agree what a resource is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// `group/version/resource`, as in a path.
    pub resource: String,
    /// `kind` or `scope`.
    pub field: &'static str,
    /// What the peers say; the first is what the merged document says.
    pub values: Vec<String>,
}

/// What all sources offer.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub document: Aggregated,
    pub conflicts: BTreeSet<Conflict>,
}

/// Whether a group-version is built into a kube-apiserver.
pub(super) type BuiltIn<'b> = &'b dyn Fn(&str, &str) -> bool;

pub(super) fn merge(sources: &[Source<'_>], built_in: BuiltIn<'_>) -> Merged {
    let mut by_group = HashMap::<&str, Vec<Part<'_>>>::new();
    let mut sequences = Vec::with_capacity(sources.len());
    for source in sources {
        let mut sequence = Vec::with_capacity(source.document.groups.len());
        for group in &source.document.groups {
            let counts = |version: &str| source.serving || built_in(&group.name, version);
            if source.serving || group.versions.iter().any(|version| counts(version)) {
                sequence.push(&*group.name);
                let part = Part { group, serving: source.serving };
                by_group.entry(&group.name).or_default().push(part);
            }
        }
        sequences.push(sequence);
    }
    let mut conflicts = BTreeSet::new();
    // Names without a dot are Kubernetes' own, and its own come first.
    let names = |a: &str, b: &str| a.contains('.').cmp(&b.contains('.')).then_with(|| a.cmp(b));
    let groups = order::agreed(&sequences, names)
        .into_iter()
        .filter_map(|name| merge_group(by_group.get(name)?, built_in, &mut conflicts))
        .collect();
    Merged { document: Aggregated { etag: None, groups, amended: false }, conflicts }
}

/// A group as one peer has it.
struct Part<'s> {
    group: &'s Arc<Group>,
    serving: bool,
}

/// A version, or a resource, as one peer has it.
#[derive(Clone, Copy)]
struct Piece<'s> {
    value: &'s RawValue,
    serving: bool,
}

fn merge_group(
    parts: &[Part<'_>],
    built_in: BuiltIn<'_>,
    conflicts: &mut BTreeSet<Conflict>,
) -> Option<Arc<Group>> {
    let first = parts.first()?;
    let whole = |part: &Part<'_>| {
        let mut versions = part.group.versions.iter();
        part.serving || versions.all(|version| built_in(&part.group.name, version))
    };
    if parts.iter().all(|part| part.group.text == first.group.text && whole(part)) {
        return Some(Arc::clone(first.group));
    }
    let name = &first.group.name;
    let mut base = None;
    let mut by_version = HashMap::<Cow<'_, str>, Vec<Piece<'_>>>::new();
    let mut sequences = Vec::new();
    for part in parts {
        let Ok(fields) = Fields::parse(&part.group.text) else { continue };
        let versions = fields.named("versions", "version").into_iter();
        // The text may have some that no path could carry.
        let counts = |version: &str| {
            part.group.versions.iter().any(|known| **known == *version)
                && (part.serving || built_in(name, version))
        };
        let versions: Vec<_> = versions.filter(|(version, _)| counts(version)).collect();
        base = base.or(Some(fields));
        sequences.push(versions.iter().map(|(version, _)| version.clone()).collect::<Vec<_>>());
        for (version, value) in versions {
            let piece = Piece { value, serving: part.serving };
            by_version.entry(version).or_default().push(piece);
        }
    }
    let sequences: Vec<Vec<&str>> =
        sequences.iter().map(|names| names.iter().map(|name| &**name).collect()).collect();
    let order = preferred_first(order::agreed(&sequences, order::versions), parts, &by_version);
    let mut hollow = false;
    let texts: Vec<_> = order
        .iter()
        .filter_map(|version| {
            let place = format!("{name}/{version}");
            let text = merge_version(&place, by_version.get(*version)?, conflicts);
            hollow |= Fields::parse(&text).is_ok_and(|fields| super::is_hollow(&fields));
            Some(text)
        })
        .collect();
    let text = base?.with(&[("versions", &fields::list(&texts))]).into_boxed_str();
    let versions = order.into_iter().map(Into::into).collect();
    Some(Arc::new(Group { name: name.clone(), versions, hollow, text }))
}

/// Clients use a group's first version where they are not told which. It must
/// be one that is answered whoever is asked; if there is none, one that is
/// answered at all.
fn preferred_first<'v>(
    mut order: Vec<&'v str>,
    parts: &[Part<'_>],
    by_version: &HashMap<Cow<'_, str>, Vec<Piece<'_>>>,
) -> Vec<&'v str> {
    let serving = parts.iter().filter(|part| part.serving).count();
    let served_by = |version: &str| {
        by_version.get(version).map_or(0, |pieces| pieces.iter().filter(|p| p.serving).count())
    };
    let best = order.iter().position(|version| served_by(version) == serving);
    let best = best.or_else(|| order.iter().position(|version| served_by(version) > 0));
    if let Some(position) = best
        && let Some(start) = order.get_mut(..=position)
    {
        start.rotate_right(1);
    }
    order
}

fn merge_version(place: &str, pieces: &[Piece<'_>], conflicts: &mut BTreeSet<Conflict>) -> String {
    if let Some(text) = same(pieces) {
        return text.to_owned();
    }
    let mut parsed: Vec<_> = pieces
        .iter()
        .filter_map(|piece| Some((piece.serving, Fields::parse(piece.value.get()).ok()?)))
        .collect();
    // A stale word counts less than a current one of an older peer.
    parsed.sort_by_key(|(serving, fields)| (!serving, is_stale(fields)));
    let mut by_resource = HashMap::<Cow<'_, str>, Vec<Piece<'_>>>::new();
    let mut sequences = Vec::new();
    for (serving, fields) in &parsed {
        let resources = fields.named("resources", "resource");
        sequences.push(resources.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        for (name, value) in resources {
            by_resource.entry(name).or_default().push(Piece { value, serving: *serving });
        }
    }
    let sequences: Vec<Vec<&str>> =
        sequences.iter().map(|names| names.iter().map(|name| &**name).collect()).collect();
    let resources = order::agreed(&sequences, str::cmp).into_iter().filter_map(|name| {
        let pieces = by_resource.get(name)?;
        Some(merge_resource(&format!("{place}/{name}"), pieces, conflicts))
    });
    let resources = fields::list(resources);
    // The first is a current one if any that serves is.
    let Some((_, base)) = parsed.first() else { return "{}".to_owned() };
    base.with(&[("resources", &resources)])
}

fn merge_resource(place: &str, pieces: &[Piece<'_>], conflicts: &mut BTreeSet<Conflict>) -> String {
    if let Some(text) = same(pieces) {
        return text.to_owned();
    }
    let parsed: Vec<_> = pieces
        .iter()
        .filter_map(|piece| Some((piece.serving, Fields::parse(piece.value.get()).ok()?)))
        .collect();
    // Where only subresources are served the resource itself has no verbs.
    let served = parsed.iter().find(|(_, f)| f.get("verbs").is_some_and(|v| !items(v).is_empty()));
    let Some((_, base)) = served.or(parsed.first()) else { return "{}".to_owned() };
    let mut subresources = Vec::new();
    let mut seen = HashSet::new();
    let mut count = 0;
    for (position, fields) in std::iter::once(base).chain(parsed.iter().map(|(_, f)| f)).enumerate()
    {
        for (name, value) in fields.named("subresources", "subresource") {
            if seen.insert(name) {
                subresources.push(value.get());
            }
        }
        if position == 0 {
            count = subresources.len();
        }
    }
    note(place, base, &parsed, conflicts);
    if subresources.len() == count {
        return base.with(&[]);
    }
    base.with(&[("subresources", &fields::list(subresources))])
}

/// Writes down where peers mean different things by one name.
fn note(
    place: &str,
    base: &Fields<'_>,
    all: &[(bool, Fields<'_>)],
    conflicts: &mut BTreeSet<Conflict>,
) {
    let kind = |fields: &Fields<'_>| {
        let kind = Fields::parse(fields.get("responseKind")?.get()).ok()?.get("kind")?;
        text(kind).map(Cow::into_owned)
    };
    let scope = |fields: &Fields<'_>| text(fields.get("scope")?).map(Cow::into_owned);
    type Read<'r> = &'r dyn Fn(&Fields<'_>) -> Option<String>;
    let read: [(&'static str, Read<'_>); 2] = [("kind", &kind), ("scope", &scope)];
    for (field, read) in read {
        let Some(chosen) = read(base) else { continue };
        let others: BTreeSet<_> = all.iter().filter_map(|(_, fields)| read(fields)).collect();
        if others.len() > 1 {
            let mut values = vec![chosen.clone()];
            values.extend(others.into_iter().filter(|value| *value != chosen));
            conflicts.insert(Conflict { resource: place.to_owned(), field, values });
        }
    }
}

/// The text of the pieces if they all have the same.
fn same<'s>(pieces: &[Piece<'s>]) -> Option<&'s str> {
    let first = pieces.first()?.value.get();
    pieces.iter().all(|piece| piece.value.get() == first).then_some(first)
}
