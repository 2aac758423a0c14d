//! What must hold of any peers.

use super::*;

fn documents() -> impl Strategy<Value = Value> {
    let resources = proptest::sample::subsequence(vec!["a", "b/s", "c/s/t", "d"], 0..=4);
    let version = |name: &'static str| (Just(name), resources.clone(), any::<bool>());
    let versions = (version("v1"), version("v2"), version("v1beta1"))
        .prop_flat_map(|(a, b, c)| proptest::sample::subsequence(vec![a, b, c], 1..=3));
    let group = |name: &'static str| (Just(name), versions.clone());
    let groups = (group("apps"), group("x.k8s.io"), group("c.example.com"), group("batch"))
        .prop_flat_map(|(a, b, c, d)| proptest::sample::subsequence(vec![a, b, c, d], 1..=4))
        .prop_shuffle();
    groups.prop_map(|groups| {
        let groups: Vec<_> = groups
            .into_iter()
            .map(|(name, versions)| {
                let versions: Vec<_> = versions
                    .into_iter()
                    .map(|(version, resources, stale)| {
                        let stale = if stale { "!" } else { "" };
                        format!("{version}{stale}={}", resources.join("+"))
                    })
                    .collect();
                format!("{name} {}", versions.join(","))
            })
            .collect();
        list(&groups.iter().map(String::as_str).collect::<Vec<_>>())
    })
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const VERSIONS: [&str; 3] = ["v1.34.1", "v1.35.4", "v1.36.3"];

fn peers() -> impl Strategy<Value = Vec<Peer>> {
    let peer = (documents(), 0..VERSIONS.len(), proptest::bool::weighted(0.8));
    proptest::collection::vec(peer, 1..=NAMES.len()).prop_map(|peers| {
        let peers = peers.into_iter().zip(NAMES);
        peers
            .map(|((list, version, serving), name)| Peer {
                name,
                version: VERSIONS[version],
                serving,
                core: None,
                named: Some(Arc::new(read(&list))),
                open_api: None,
            })
            .collect()
    })
}

/// What the filter gets, with names in place of positions.
fn named(peers: &[Peer], made: Made) -> Vec<(String, String, Vec<&'static str>, String)> {
    let name = |at: &usize| peers[*at].name;
    let documents = made.documents.into_iter();
    documents
        .map(|served| {
            let mut names: Vec<_> = served.peers.iter().map(name).collect();
            names.sort_unstable();
            let text = text(&served);
            (served.path, format!("{:?}", served.form), names, text)
        })
        .collect()
}

fn content(made: &Made) -> Option<String> {
    find(made, "/apis", DocumentForm::AggregatedV2).map(text)
}

/// Every `group/version/resource/subresource` of a list.
fn types(list: &Value) -> HashSet<String> {
    let mut types = HashSet::new();
    for group in list["items"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            let place = format!("{}/{}", group["metadata"]["name"], version["version"]);
            types.insert(place.clone());
            for resource in version["resources"].as_array().unwrap() {
                let place = format!("{place}/{}", resource["resource"]);
                types.insert(place.clone());
                for sub in resource["subresources"].as_array().into_iter().flatten() {
                    types.insert(format!("{place}/{}", sub["subresource"]));
                }
            }
        }
    }
    types
}

fn whole(peer: &Peer) -> Value {
    let groups = &peer.named.as_ref().unwrap().groups;
    let items: Vec<Value> =
        groups.iter().map(|group| serde_json::from_str(&group.text).unwrap()).collect();
    json!({ "items": items })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_order_in_which_peers_are_asked_does_not_matter(
        (peers, shuffled) in peers().prop_flat_map(|peers| (Just(peers.clone()), Just(peers).prop_shuffle()))
    ) {
        prop_assert_eq!(named(&peers, made(&peers)), named(&shuffled, made(&shuffled)));
    }

    #[test]
    fn peers_of_one_version_can_change_places(mut peers in peers()) {
        for peer in &mut peers {
            peer.version = VERSIONS[0];
            peer.serving = true;
        }
        let merged = made(&peers);
        let mut names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
        names.reverse();
        for (peer, name) in peers.iter_mut().zip(names) {
            peer.name = name;
        }
        let renamed = made(&peers);
        prop_assert_eq!(content(&merged), content(&renamed));
    }

    #[test]
    fn a_peer_twice_is_a_peer_once(peers in peers()) {
        let mut twice = peers.clone();
        // One that votes twice may change what a contradiction comes to.
        twice.extend(peers.iter().map(|peer| Peer { name: "z", ..peer.clone() }));
        let (once, twice) = (made(&peers), made(&twice));
        prop_assert_eq!(content(&once), content(&twice));
    }

    #[test]
    fn a_merge_is_not_changed_by_what_is_in_it(peers in peers()) {
        let merged = made(&peers);
        let Some(text) = content(&merged) else { return Ok(()) };
        let mut newest = serving("z", "v1.99.0");
        newest.named = Some(Arc::new(read_part(&text, Part::Named)));
        // One that says the whole, and one that says a part of it in the same order.
        let mut part: Value = serde_json::from_str(&text).unwrap();
        part["items"].as_array_mut().unwrap().pop();
        let part = Peer { named: Some(Arc::new(read(&part))), ..serving("y", "v1.35.0") };
        let made_again = made(&[newest.clone(), part]);
        prop_assert!(content(&made_again).is_none_or(|again| again == text));
        prop_assert_eq!(made(&[newest]), Made::default());
    }

    #[test]
    fn nothing_that_a_serving_peer_offers_is_lost_and_nothing_is_invented(peers in peers()) {
        let merged = made(&peers);
        let serving: HashSet<_> =
            peers.iter().filter(|peer| peer.serving).flat_map(|peer| types(&whole(peer))).collect();
        let all: HashSet<_> = peers.iter().flat_map(|peer| types(&whole(peer))).collect();
        match content(&merged) {
            Some(text) => {
                let listed = types(&serde_json::from_str(&text).unwrap());
                prop_assert!(listed.is_superset(&serving), "{text}");
                prop_assert!(listed.is_subset(&all), "{text}");
                let items = &serde_json::from_str::<Value>(&text).unwrap()["items"];
                let mut serving = peers.iter().filter(|peer| peer.serving);
                let needed = serving.any(|peer| whole(peer)["items"] != *items);
                prop_assert!(needed, "a document that every peer has");
            }
            None => for peer in peers.iter().filter(|peer| peer.serving) {
                prop_assert_eq!(&types(&whole(peer)), &serving);
            },
        }
        for document in &merged.documents {
            prop_assert!(!document.peers.is_empty());
            prop_assert!(document.peers.iter().all(|at| peers[*at].serving));
        }
    }
}
