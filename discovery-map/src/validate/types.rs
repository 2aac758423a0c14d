//! Groups, versions and resources.

use super::check::Check;
use crate::map::{Group, Resource, Scope, Version};
use crate::map_document::{BySet, SetEntry, Versions};

impl Check {
    pub(super) fn group(&mut self, name: String, versions: Versions, sets: &[SetEntry]) -> Group {
        let place = format!("groups[\"{name}\"]");
        if versions.0.is_empty() {
            self.fault(&place, "must have a version");
        }
        let versions: Box<[Version]> = versions
            .0
            .into_iter()
            .map(|(version, by_set)| self.version(&place, version, by_set, sets))
            .collect();
        let widest = widest(versions.iter().map(|version| version.widest), sets);
        Group { name: name.into_boxed_str(), widest, versions }
    }

    fn version(&mut self, group: &str, name: String, by_set: BySet, sets: &[SetEntry]) -> Version {
        let place = format!("{group}[\"{name}\"]");
        if name.is_empty() {
            self.fault(&place, "a version must not be empty");
        }
        if by_set.0.is_empty() {
            self.fault(&place, "must have a serving set");
        }
        let widest = widest(by_set.0.keys().copied(), sets);
        let mut resources = Vec::new();
        for (set, names) in by_set.0 {
            self.set_index(&place, set);
            let by_scope =
                [(Scope::Namespaced, names.namespaced), (Scope::Cluster, names.cluster_scoped)];
            for (scope, names) in by_scope {
                let place = format!("{place}[\"{set}\"]");
                let found = names.iter().filter_map(|name| self.resource(&place, name, scope, set));
                resources.extend(found);
            }
        }
        resources.sort_unstable();
        self.repeated(&place, &resources);
        Version { name: name.into_boxed_str(), widest, resources: resources.into_boxed_slice() }
    }

    fn resource(&mut self, place: &str, name: &str, scope: Scope, set: u16) -> Option<Resource> {
        let split = name.split_once('/');
        let (resource, subresource) = split.map_or((name, None), |(name, sub)| (name, Some(sub)));
        let sound = !resource.is_empty()
            && subresource.is_none_or(|part| !part.is_empty() && !part.contains('/'));
        if !sound {
            let problem = format!("\"{name}\" is neither a resource nor resource/subresource");
            self.fault(place, problem);
            return None;
        }
        let subresource = subresource.unwrap_or_default().into();
        Some(Resource { name: resource.into(), subresource, scope, set, verbs: None })
    }

    fn repeated(&mut self, place: &str, sorted: &[Resource]) {
        for pair in sorted.windows(2) {
            let [first, second] = pair else { continue };
            if (&first.name, &first.subresource) == (&second.name, &second.subresource) {
                let slash = if first.subresource.is_empty() { "" } else { "/" };
                self.fault(
                    place,
                    format!("\"{}{slash}{}\" is listed twice", first.name, first.subresource),
                );
            }
        }
    }
}

/// The candidate that answers best: a set with a cluster before one without,
/// then the set with the most peers, then the first.
fn widest(candidates: impl Iterator<Item = u16>, sets: &[SetEntry]) -> u16 {
    let width = |set: u16| {
        sets.get(usize::from(set)).map_or((false, 0), |s| (s.cluster.is_some(), s.peers.len()))
    };
    candidates.max_by_key(|&set| (width(set), std::cmp::Reverse(set))).unwrap_or_default()
}
