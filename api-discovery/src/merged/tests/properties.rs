//! What must hold of any peers.

use std::collections::HashSet;

use super::*;

/// The versions, as every peer orders them.
const ORDER: [&str; 3] = ["v2", "v1", "v1beta1"];

/// Lists of named groups: of any order and freshness, or in one order and all current.
fn documents(any: bool) -> BoxedStrategy<Value> {
    let resources = proptest::sample::subsequence(vec!["a", "b/s", "c/s/t", "d"], 0..=4);
    let version = |name: &'static str| {
        (Just(name), resources.clone(), proptest::bool::weighted(if any { 0.5 } else { 0.0 }))
    };
    let [a, b, c] = ORDER;
    let versions = (version(a), version(b), version(c))
        .prop_flat_map(|(a, b, c)| proptest::sample::subsequence(vec![a, b, c], 1..=3));
    let group = |name: &'static str| (Just(name), versions.clone());
    let groups = (group("apps"), group("x.k8s.io"), group("c.example.com"), group("batch"))
        .prop_flat_map(|(a, b, c, d)| proptest::sample::subsequence(vec![a, b, c, d], 1..=4));
    let groups = if any { groups.prop_shuffle().boxed() } else { groups.boxed() };
    let lists = groups.prop_map(|groups| {
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
    });
    lists.boxed()
}

/// What `/api` lists.
fn core() -> impl Strategy<Value = Value> {
    let resources = proptest::sample::subsequence(vec!["a", "b/s", "c/s/t", "d"], 1..=4);
    resources.prop_map(|resources| list(&[&format!(" v1={}", resources.join("+"))]))
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const VERSIONS: [&str; 3] = ["v1.34.1", "v1.35.4", "v1.36.3"];

fn believed(core: &Value, named: &Value) -> Belief {
    let core = Arc::new(read_part(&core.to_string(), Part::Core));
    Belief { core: Some(core), named: Some(Arc::new(read(named))), ..Belief::default() }
}

fn peers() -> impl Strategy<Value = Vec<Peer>> {
    peers_of(documents(true), 0.8)
}

fn peers_of(
    documents: BoxedStrategy<Value>,
    serving: f64,
) -> impl Strategy<Value = Vec<Peer>> + use<> {
    let weighted = proptest::bool::weighted;
    let peer = (core(), documents, 0..VERSIONS.len(), weighted(serving), weighted(0.3));
    proptest::collection::vec(peer, 1..=NAMES.len()).prop_map(|peers| {
        let peers = peers.into_iter().zip(NAMES);
        peers
            .map(|((core, list, version, serving, answering), name)| Peer {
                name,
                version: VERSIONS[version],
                serving,
                answering,
                belief: believed(&core, &list),
            })
            .collect()
    })
}

/// What the filter gets, with names in place of positions.
fn named(
    peers: &[Peer],
    merged: MergedDocuments,
) -> Vec<(String, String, Vec<&'static str>, String)> {
    let name = |at: &usize| peers[*at].name;
    let documents = merged.documents.into_iter();
    documents
        .map(|document| {
            let mut names: Vec<_> = document.peers.iter().map(name).collect();
            names.sort_unstable();
            let text = text(&document);
            (document.path, format!("{:?}", document.form), names, text)
        })
        .collect()
}

fn content(merged: &MergedDocuments) -> Option<String> {
    find(merged, "/apis", DocumentForm::AggregatedV2).map(text)
}

/// Every document, by its path and form.
fn contents(merged: &MergedDocuments) -> BTreeMap<(String, DocumentForm), String> {
    let documents = merged.documents.iter();
    documents.map(|document| ((document.path.clone(), document.form), text(document))).collect()
}

/// What all peers list together: the merged document or, if none is needed, that of one of them.
fn union(peers: &[Peer], path: &str) -> Value {
    let merged = merge_of(peers);
    match find(&merged, path, DocumentForm::AggregatedV2) {
        Some(document) => serde_json::from_str(&text(document)).unwrap(),
        None if path == "/api" => whole(peers[0].belief.core.as_ref().unwrap()),
        None => named_list(&peers[0]),
    }
}

/// Returns a part of a list. `keeps` is asked about each group, resource and
/// subresource. Versions stay, because the preferred one depends on who has them.
fn part_of(list: &Value, mut keeps: impl FnMut() -> bool) -> Value {
    let mut part = list.clone();
    let items = part["items"].as_array_mut().unwrap();
    items.retain(|_| keeps());
    for group in items.iter_mut() {
        // The merge puts one that all serve first; a peer lists them in their order.
        let place = |version: &Value| ORDER.iter().position(|name| version["version"] == **name);
        group["versions"].as_array_mut().unwrap().sort_by_key(place);
    }
    for version in items.iter_mut().flat_map(|group| group["versions"].as_array_mut().unwrap()) {
        let resources = version["resources"].as_array_mut().unwrap();
        resources.retain(|_| keeps());
        for resource in resources {
            let subresources = resource.get_mut("subresources").and_then(Value::as_array_mut);
            subresources.into_iter().for_each(|names| names.retain(|_| keeps()));
        }
    }
    part
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

/// Returns the types that a peer in rotation vouches for, and those that no
/// other does.
fn counted(peers: &[Peer], peer: &Peer) -> HashSet<String> {
    let mut list = named_list(peer);
    for group in list["items"].as_array_mut().unwrap() {
        let name = group["metadata"]["name"].as_str().unwrap().to_owned();
        let is_fresh_at = |version: &Value, other: &Peer| {
            let listing = other.belief.named.as_ref().unwrap();
            let names = listing.group(&name).map(|group| &group.names);
            let version = names.and_then(|names| names.version(version["version"].as_str()?));
            version.is_some_and(|version| !version.stale)
        };
        let counts = |version: &Value| {
            let mut others = peers.iter().filter(|other| other.serving);
            built_in(&name, "")
                || is_fresh_at(version, peer)
                || !others.any(|other| is_fresh_at(version, other))
        };
        group["versions"].as_array_mut().unwrap().retain(counts);
    }
    types(&list)
}

/// What `/apis` of a peer lists.
fn named_list(peer: &Peer) -> Value {
    whole(peer.belief.named.as_ref().unwrap())
}

fn whole(listing: &Listing) -> Value {
    let texts = listing.groups().iter().map(|group| group.text.as_deref().unwrap());
    let items: Vec<Value> = texts.map(|text| serde_json::from_str(text).unwrap()).collect();
    json!({"kind": "APIGroupDiscoveryList", "items": items})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_order_in_which_peers_are_asked_does_not_matter(
        (peers, shuffled) in peers().prop_flat_map(|peers| (Just(peers.clone()), Just(peers).prop_shuffle()))
    ) {
        prop_assert_eq!(named(&peers, merge_of(&peers)), named(&shuffled, merge_of(&shuffled)));
    }

    #[test]
    fn peers_of_one_version_can_change_places(mut peers in peers()) {
        for peer in &mut peers {
            peer.version = VERSIONS[0];
            peer.serving = true;
        }
        let merged = merge_of(&peers);
        let mut names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
        names.reverse();
        for (peer, name) in peers.iter_mut().zip(names) {
            peer.name = name;
        }
        let renamed = merge_of(&peers);
        prop_assert_eq!(contents(&merged), contents(&renamed));
    }

    #[test]
    fn a_second_peer_that_says_the_same_changes_nothing(peers in peers()) {
        let mut twice = peers.clone();
        // A single peer that votes twice could turn a majority.
        twice.extend(peers.iter().map(|peer| Peer { name: "z", ..peer.clone() }));
        let (once, twice) = (merge_of(&peers), merge_of(&twice));
        prop_assert_eq!(contents(&once), contents(&twice));
    }

    /// A peer that says nothing new changes no document, and so no `ETag`. If there
    /// was no document, the union is what all peers said.
    #[test]
    fn a_peer_that_adds_nothing_changes_nothing(
        mut peers in peers_of(documents(false), 1.0),
        keeps in proptest::collection::vec(any::<bool>(), 1..64),
    ) {
        let before = contents(&merge_of(&peers));
        let mut keeps = keeps.into_iter().cycle();
        let [core, named] = ["/api", "/apis"].map(|path| union(&peers, path));
        let mut part = |list: &Value| part_of(list, || keeps.next().unwrap());
        let (core_part, named_part) = (part(&core), part(&named));
        peers.push(Peer {
            belief: believed(&core_part, &named_part),
            ..serving("z", "v1.33.0")
        });
        let after = contents(&merge_of(&peers));
        for (place, text) in &before {
            prop_assert_eq!(after.get(place), Some(text), "{:?}", place);
        }
        prop_assert_eq!(&union(&peers, "/apis")["items"], &named["items"]);
        prop_assert_eq!(&union(&peers, "/api")["items"], &core["items"]);
    }

    #[test]
    fn merging_a_merged_document_again_does_not_change_it(peers in peers()) {
        let merged = merge_of(&peers);
        let Some(text) = content(&merged) else { return Ok(()) };
        let newest = serving("z", "v1.99.0").listing(read_part(&text, Part::Named));
        // One peer that says all of it, and one that says a part in the same order.
        let mut part: Value = serde_json::from_str(&text).unwrap();
        part["items"].as_array_mut().unwrap().pop();
        let part = serving("y", "v1.35.0").listing(read(&part));
        let made_again = merge_of(&[newest.clone(), part]);
        prop_assert!(content(&made_again).is_none_or(|again| again == text));
        prop_assert_eq!(merge_of(&[newest]), MergedDocuments::default());
    }

    #[test]
    fn no_type_of_a_serving_peer_is_lost_and_none_is_invented(peers in peers()) {
        let merged = merge_of(&peers);
        let listed_by = |peer: &Peer| types(&named_list(peer));
        let serving = peers.iter().filter(|peer| peer.serving);
        let serving: HashSet<_> = serving.flat_map(|peer| counted(&peers, peer)).collect();
        let all: HashSet<_> = peers.iter().flat_map(listed_by).collect();
        match content(&merged) {
            Some(text) => {
                let listed = types(&serde_json::from_str(&text).unwrap());
                prop_assert!(listed.is_superset(&serving), "{text}");
                prop_assert!(listed.is_subset(&all), "{text}");
                let items = &serde_json::from_str::<Value>(&text).unwrap()["items"];
                let mut serving = peers.iter().filter(|peer| peer.serving);
                let needed = serving.any(|peer| named_list(peer)["items"] != *items);
                prop_assert!(needed, "a document that every peer has");
            }
            None => for peer in peers.iter().filter(|peer| peer.serving) {
                prop_assert_eq!(&types(&named_list(peer)), &serving);
            },
        }
        for document in &merged.documents {
            prop_assert!(!document.peers.is_empty());
            prop_assert!(document.peers.iter().all(|at| peers[*at].serving));
        }
    }
}
