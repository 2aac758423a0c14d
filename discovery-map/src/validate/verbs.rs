//! The verbs that only some of a resource's peers have.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::check::Check;
use crate::map::{Group, Resource, VerbSets};
use crate::map_document::{SetEntry, SetsByVerb};

impl Check {
    /// Checks the verbs, and notes at each resource where its own are.
    pub(super) fn verbs(
        &mut self,
        verbs: BTreeMap<String, SetsByVerb>,
        groups: &mut [Group],
        sets: &[SetEntry],
    ) -> Box<[VerbSets]> {
        let mut checked = Vec::with_capacity(verbs.len());
        for (name, SetsByVerb(by_verb)) in verbs {
            let place = format!("verbs[\"{name}\"]");
            let Some(resource) = find(groups, &name) else {
                self.fault(place, "is not group/version/resource of a resource in groups");
                continue;
            };
            if by_verb.is_empty() {
                self.fault(&place, "must have a verb");
            }
            for (verb, &set) in &by_verb {
                let place = format!("{place}[\"{verb}\"]");
                self.set_index(&place, set);
                let whole = resource.set;
                if !is_part(set, whole, sets) {
                    let problem =
                        format!("must be a different set, with a part of the peers of set {whole}");
                    self.fault(place, problem);
                }
            }
            checked.push(by_verb.into_iter().collect());
            resource.verbs = u32::try_from(checked.len()).ok().and_then(NonZeroU32::new);
        }
        checked.into_boxed_slice()
    }
}

fn find<'g>(groups: &'g mut [Group], name: &str) -> Option<&'g mut Resource> {
    let (group, rest) = name.split_once('/')?;
    let (version, name) = rest.split_once('/')?;
    let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
    // They come from maps, so they are sorted; resources are sorted by `version`.
    let at = groups.binary_search_by(|known| (*known.name).cmp(group)).ok()?;
    let versions = &mut groups.get_mut(at)?.versions;
    let at = versions.binary_search_by(|known| (*known.name).cmp(version)).ok()?;
    let resources = &mut versions.get_mut(at)?.resources;
    let wanted = (resource, subresource);
    let at = resources.binary_search_by(|r| (&*r.name, &*r.subresource).cmp(&wanted)).ok()?;
    resources.get_mut(at)
}

/// Returns whether the first set has only peers of the second, and not all of them.
fn is_part(part: u16, whole: u16, sets: &[SetEntry]) -> bool {
    let peers = |set: u16| sets.get(usize::from(set)).map(|set| &set.peers);
    // An index out of range is a fault of its own.
    let (Some(own), Some(all)) = (peers(part), peers(whole)) else { return true };
    part != whole && !own.is_empty() && own.iter().all(|peer| all.contains(peer))
}

#[cfg(test)]
mod tests {
    use crate::{Destination, DiscoveryMap, Verb};

    const GOLDEN: &str = include_str!("../../golden/map.json");

    fn faults(verbs: serde_json::Value) -> Vec<String> {
        let mut map: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        map["verbs"] = verbs;
        match DiscoveryMap::from_json(map.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_verb_of_some_peers_narrows_a_resource_to_them() {
        let map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
        let narrowed = |resource: &[u8], subresource, verb| {
            let found = map.resource(b"apps", b"v1", resource, subresource).unwrap();
            map.narrowed(found, || verb).destination
        };
        let cp_2 = Destination::Cluster("kube-apiserver_cp-2");
        let scale = Some(&b"scale"[..]);
        assert_eq!(narrowed(b"deployments", scale, Some(Verb::Patch)), cp_2);
        assert_eq!(narrowed(b"deployments", scale, Some(Verb::Get)), Destination::Default);
        assert_eq!(narrowed(b"deployments", scale, None), Destination::Default);
        assert_eq!(narrowed(b"deployments", None, Some(Verb::Patch)), Destination::Default);
    }

    #[test]
    fn a_resource_without_differences_is_not_asked_for_its_verb() {
        let map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
        let found = map.resource(b"", b"v1", b"pods", None).unwrap();
        assert_eq!(map.narrowed(found, || panic!("asked")), found);
    }

    #[test]
    fn verbs_that_do_not_fit_the_map_are_faults() {
        assert_eq!(faults(serde_json::json!({"/v1/pods": {"watch": 1}})), [""; 0]);
        let unknown = "is not group/version/resource of a resource in groups";
        for name in ["apps/v1/nosuch", "apps/v9/deployments", "nosuch/v1/x", "pods", "/v1", ""] {
            let expected = format!("verbs[\"{name}\"]: {unknown}");
            assert_eq!(faults(serde_json::json!({ name: {"get": 1} })), [expected]);
        }
        let pods = "verbs[\"/v1/pods\"]";
        let part =
            format!("{pods}[\"get\"]: must be a different set, with a part of the peers of set 0");
        for (verbs, expected) in [
            (serde_json::json!({}), format!("{pods}: must have a verb")),
            (serde_json::json!({"get": 0}), part.clone()),
            (serde_json::json!({"get": 2}), part),
            (
                serde_json::json!({"get": 9}),
                format!("{pods}[\"get\"]: set index 9 is out of range: the map has 3 sets"),
            ),
        ] {
            assert_eq!(faults(serde_json::json!({"/v1/pods": verbs})), [expected]);
        }
        let other = faults(serde_json::json!({"/v1/pods": {"fetch": 1}}));
        assert!(other[0].contains("unknown variant `fetch`"), "{other:?}");
    }

    #[test]
    fn a_repeated_verb_is_refused() {
        let json = GOLDEN.replace(r#"{"patch":1}"#, r#"{"patch":1,"patch":1}"#);
        let fault = DiscoveryMap::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains("key \"patch\" is repeated"), "{fault}");
    }
}
