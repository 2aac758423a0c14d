//! How large the map is with as many custom resources as are promised.

use std::collections::BTreeMap;

use api_discovery::{DiscoveryDocument, OpenApiIndex, Part};
use discovery_map::DiscoveryMap;
use serde_json::{Value, json};

use super::world::{World, listed};
use crate::facts::{Observation, Reading};

/// Names that compress no better than real ones: words of some syllables.
struct Words(u64);

impl Words {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn word(&mut self, syllables: u64) -> String {
        let count = 2 + self.next() % syllables;
        (0..count)
            .flat_map(|_| {
                let consonant = b"bcdfghklmnprstvw"[usize::try_from(self.next() % 16).unwrap()];
                let vowel = b"aeiou"[usize::try_from(self.next() % 5).unwrap()];
                [char::from(consonant), char::from(vowel)]
            })
            .collect()
    }

    fn hash(&mut self) -> String {
        (0..32).map(|_| format!("{:04X}", self.next() & 0xffff)).collect()
    }
}

fn resource(words: &mut Words, group: &str, version: &str) -> Value {
    let singular = words.word(5);
    let kind = format!("{}{}", singular[..1].to_uppercase(), &singular[1..]);
    let kind = json!({"group": group, "version": version, "kind": kind});
    json!({
        "resource": format!("{singular}s"), "responseKind": kind, "scope": "Namespaced",
        "singularResource": singular,
        "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        "shortNames": [&singular[..3]], "categories": [words.word(2)],
        "subresources": [{"subresource": "status", "responseKind": kind,
            "verbs": ["get", "patch", "update"]}],
    })
}

/// `/apis` with 3,000 custom resources in 500 groups, and its OpenAPI index.
fn documents(extra: Option<&str>) -> (String, OpenApiIndex) {
    let mut words = Words(7);
    let mut paths = BTreeMap::new();
    let mut items = Vec::new();
    for _ in 0..500 {
        let group = format!("{}.{}.io", words.word(4), words.word(4));
        let version = ["v1", "v1beta1", "v1alpha1"][usize::try_from(words.next() % 3).unwrap()];
        let resources: Vec<_> = (0..6).map(|_| resource(&mut words, &group, version)).collect();
        let path = format!("apis/{group}/{version}");
        let url = format!("/openapi/v3/{path}?hash={}", words.hash());
        paths.insert(path.into_boxed_str(), url.into_boxed_str());
        items.push(json!({"metadata": {"name": group, "creationTimestamp": null},
            "versions": [{"version": version, "resources": resources, "freshness": "Current"}]}));
    }
    if let Some(group) = extra {
        let resources = [resource(&mut words, group, "v1")];
        items.push(json!({"metadata": {"name": group},
            "versions": [{"version": "v1", "resources": resources, "freshness": "Current"}]}));
        let url = format!("/openapi/v3/apis/{group}/v1?hash={}", words.hash());
        paths.insert(format!("apis/{group}/v1").into(), url.into());
    }
    let list = json!({"kind": "APIGroupDiscoveryList", "items": items});
    (list.to_string(), OpenApiIndex(paths))
}

#[test]
fn with_three_thousand_custom_resources_and_five_peers_the_map_has_at_most_600_kilobytes() {
    let names = ["a", "b", "c", "d", "e"];
    let mut world = World::new(&names);
    for name in names {
        // Each has a type that none of the others has.
        let (list, open_api) = documents(Some(&format!("only-{name}")));
        let document = serde_json::from_str(&list).unwrap();
        let DiscoveryDocument::Aggregated(list) = document else { panic!("form") };
        let named = Reading::Read(list.read(Part::Named));
        let readings = [(Part::Core, listed(&["/v1/pods"])), (Part::Named, named)];
        let open_api = Reading::Read(open_api);
        world.report(name, Observation::Serving { readings, version: None, open_api });
    }
    let document = world.index.snapshot().map;
    let paths: Vec<_> =
        document.documents.iter().map(|d| (&*d.path, d.size, d.gzip.len())).collect();
    assert_eq!(document.documents.len(), 4, "{paths:?}");
    let json = document.to_json().unwrap();
    println!("{} bytes, {paths:?}", json.len());
    assert!(json.len() <= 600_000, "{} bytes, {paths:?}", json.len());
    assert!(DiscoveryMap::try_from(document).is_ok());
}
