//! The rules of the merge, each as a sentence; the recorded documents of real
//! servers; and what must hold of any documents at all.

use std::collections::BTreeMap;

use discovery_map::DocumentForm;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::belief::Change;
use crate::document::DiscoveryDocument;
use crate::openapi::OpenApiIndex;

mod open_api;
mod properties;
mod recorded;
mod stale;
mod storage;

/// A peer in words: `serving("b", "v1.36.0").with(…)`.
#[derive(Clone, Debug)]
struct Peer {
    name: &'static str,
    version: &'static str,
    serving: bool,
    answering: bool,
    belief: Belief,
}

fn serving(name: &'static str, version: &'static str) -> Peer {
    Peer { name, version, serving: true, answering: false, belief: Belief::default() }
}

impl Peer {
    /// Groups as `name version,version`, each version as `v1=resource+resource`.
    fn with(self, groups: &[&str]) -> Self {
        self.listing(read(&list(groups)))
    }

    fn listing(mut self, named: Listing) -> Self {
        self.belief.named = Some(Arc::new(named));
        self
    }

    fn answering(mut self) -> Self {
        self.answering = true;
        self
    }

    fn away(mut self) -> Self {
        self.serving = false;
        self
    }

    fn open_api(mut self, paths: &[(&str, &str)]) -> Self {
        let entry = |(path, hash): &(&str, &str)| {
            (
                (*path).to_owned(),
                json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")}),
            )
        };
        let paths: serde_json::Map<_, _> = paths.iter().map(entry).collect();
        let index = serde_json::from_value(json!({"paths": paths})).unwrap();
        self.belief.open_api = Some(Arc::new(index));
        self
    }

    fn source(&self) -> MergeSource<'_> {
        MergeSource {
            name: self.name,
            release: Release::parse(self.version),
            answering: self.answering,
            serving: self.serving,
            belief: &self.belief,
        }
    }
}

fn resource(name: &str) -> Value {
    let (name, verb) = name.split_once(':').unwrap_or((name, "get"));
    let (name, subresources) = name.split_once('/').unwrap_or((name, ""));
    let mut resource = json!({
        "resource": name,
        "responseKind": {"group": "", "version": "", "kind": name.to_uppercase()},
        "scope": "Namespaced", "singularResource": name, "verbs": [verb],
        "unheardOf": {"kept": true},
    });
    if !subresources.is_empty() {
        let subresources: Vec<_> = subresources
            .split('/')
            .map(|name| json!({"subresource": name, "verbs": ["get"]}))
            .collect();
        resource["subresources"] = subresources.into();
    }
    resource
}

fn list(groups: &[&str]) -> Value {
    let group = |text: &&str| {
        let (name, versions) = text.split_once(' ').unwrap();
        let versions: Vec<_> = versions
            .split(',')
            .map(|version| {
                let (version, resources) = version.split_once('=').unwrap();
                let (version, stale) =
                    version.strip_suffix('!').map_or((version, false), |v| (v, true));
                let names = resources.split('+').filter(|name| !name.is_empty());
                let freshness = if stale { "Stale" } else { "Current" };
                let resources: Vec<_> = names.map(resource).collect();
                json!({"version": version, "resources": resources, "freshness": freshness})
            })
            .collect();
        json!({"metadata": {"name": name, "creationTimestamp": null}, "versions": versions})
    };
    let items: Vec<_> = groups.iter().map(group).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": items})
}

/// Reads a peer's answer; the `ETag` is as unique as the content.
fn read(list: &Value) -> Listing {
    read_part(&list.to_string(), Part::Named)
}

fn read_part(json: &str, part: Part) -> Listing {
    let document = serde_json::from_str(json).unwrap();
    let DiscoveryDocument::Aggregated(list) = document else { panic!("form") };
    let mut document = list.read(part);
    document.etag = Some(pack(json).etag.to_string().into());
    document
}

fn pack(text: &str) -> PackedText {
    PackCache::default().pack(&MergedText::from(text.to_owned()))
}

fn text(document: &UnpackedDocument) -> String {
    let text = document.content.to_string();
    assert_eq!(text.len(), document.content.size());
    text
}

fn built_in(group: &str, _: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

fn merge_of(peers: &[Peer]) -> MergedDocuments {
    let sources: Vec<_> = peers.iter().map(Peer::source).collect();
    merge_documents(&sources, &built_in)
}

fn find<'m>(
    merged: &'m MergedDocuments,
    path: &str,
    form: DocumentForm,
) -> Option<&'m UnpackedDocument> {
    merged.documents.iter().find(|document| document.path == path && document.form == form)
}

fn aggregated(merged: &MergedDocuments) -> Value {
    let found = find(merged, "/apis", DocumentForm::AggregatedV2).unwrap();
    serde_json::from_str(&text(found)).unwrap()
}

/// The merged list in the words of [`Peer::with`], without details.
fn words(merged: &MergedDocuments) -> Vec<String> {
    let list = aggregated(merged);
    let version = |version: &Value| {
        let stale = if version["freshness"] == "Stale" { "!" } else { "" };
        let names = version["resources"].as_array().unwrap().iter();
        let names: Vec<_> = names
            .map(|resource| {
                let mut name = resource["resource"].as_str().unwrap().to_owned();
                for sub in resource["subresources"].as_array().into_iter().flatten() {
                    name += &format!("/{}", sub["subresource"].as_str().unwrap());
                }
                name
            })
            .collect();
        format!("{}{stale}={}", version["version"].as_str().unwrap(), names.join("+"))
    };
    let groups = list["items"].as_array().unwrap().iter();
    groups
        .map(|group| {
            let versions: Vec<_> =
                group["versions"].as_array().unwrap().iter().map(version).collect();
            format!("{} {}", group["metadata"]["name"].as_str().unwrap(), versions.join(","))
        })
        .collect()
}

#[test]
fn no_document_is_made_if_peers_say_the_same() {
    let a = serving("a", "v1.36.0").with(&["apps v1=x"]).open_api(&[("api", "1")]);
    let b = Peer { name: "b", ..a.clone() };
    assert_eq!(merge_of(&[a, b]), MergedDocuments::default());
    assert_eq!(merge_of(&[]), MergedDocuments::default());
}

#[test]
fn a_type_of_some_peers_is_listed_where_those_peers_list_it() {
    let a = serving("a", "v1.35.0").with(&["apps v1=x+z", "old v1=o", "crd.example.com v1=c"]);
    let b = serving("b", "v1.36.0").with(&["apps v1=x+y+z", "new v1=n", "crd.example.com v1=c"]);
    let merged = merge_of(&[a, b]);
    let expected = ["apps v1=x+y+z", "new v1=n", "old v1=o", "crd.example.com v1=c"];
    assert_eq!(words(&merged), expected);
    let v2 = find(&merged, "/apis", DocumentForm::AggregatedV2).unwrap();
    let v2beta1 = find(&merged, "/apis", DocumentForm::AggregatedV2beta1).unwrap();
    assert_eq!(text(v2), text(v2beta1).replace("v2beta1", "v2"));
    assert_eq!(v2.peers, [1], "of two views the newest peer's");
    assert!(v2.has_etag && v2.peer_etag.is_some());
    assert!(text(v2).contains("unheardOf"));
    let paths: Vec<_> = merged.documents.iter().map(|document| document.path.as_str()).collect();
    assert_eq!(paths, ["/apis", "/apis", "/apis", "/apis/apps/v1"]);
    assert_eq!(find(&merged, "/apis", DocumentForm::Plain).unwrap().peers, [0, 1]);
}

#[test]
fn the_largest_group_of_peers_with_one_view_is_asked() {
    let a = serving("a", "v1.35.0").with(&["apps v1=x"]);
    let b = serving("b", "v1.35.0").with(&["apps v1=x"]);
    let c = serving("c", "v1.36.0").with(&["apps v1=x+y"]);
    let merged = merge_of(&[c, b, a]);
    assert_eq!(find(&merged, "/apis", DocumentForm::AggregatedV2).unwrap().peers, [1, 2]);
}

#[test]
fn the_preferred_version_is_one_that_all_peers_with_the_group_serve() {
    let a = serving("a", "v1.35.0").with(&["g v1=x,v1beta1=x", "h v1=y"]);
    let b = serving("b", "v1.36.0").with(&["g v2=x,v1=x", "h v2=y"]);
    let c = serving("c", "v1.36.0").with(&["h v2=y"]);
    let merged = merge_of(&[a, b, c]);
    assert_eq!(words(&merged), ["g v1=x,v2=x,v1beta1=x", "h v2=y,v1=y"]);
    let group = &find(&merged, "/apis/g", DocumentForm::Plain).unwrap();
    let json: Value = serde_json::from_str(&text(group)).unwrap();
    assert_eq!(json["preferredVersion"], json!({"groupVersion": "g/v1", "version": "v1"}));
    assert_eq!(group.peers, [0, 1]);
}

#[test]
fn details_come_from_the_answering_or_newest_peer_and_subresources_from_all_peers() {
    let a = serving("a", "v1.35.0").with(&["g v1=x/log/status:old"]);
    let b = serving("b", "v1.36.0").with(&["g v1=x/status/resize:new"]);
    let [newer, older] = [("x/status/resize/log", "new"), ("x/log/status/resize", "old")];
    let cases = [
        ([a.clone(), b.clone()], newer),
        ([b.clone(), a.clone()], newer),
        ([a.clone(), b.clone().answering()], newer),
        ([a.answering(), b], older),
    ];
    for (peers, (resources, verb)) in cases {
        let merged = merge_of(&peers);
        assert_eq!(words(&merged), [format!("g v1={resources}")]);
        let list = aggregated(&merged);
        assert_eq!(list["items"][0]["versions"][0]["resources"][0]["verbs"], json!([verb]));
    }
}

#[test]
fn a_resource_without_verbs_does_not_describe_one_that_another_peer_serves() {
    let a = serving("a", "v1.35.0").with(&["g v1=x:get"]);
    let mut b = list(&["g v1=x/scale"]);
    b["items"][0]["versions"][0]["resources"][0]["verbs"] = Value::Null;
    let b = serving("b", "v1.36.0").listing(read(&b));
    let merged = merge_of(&[a, b]);
    let resource = &aggregated(&merged)["items"][0]["versions"][0]["resources"][0];
    assert_eq!(resource["verbs"], json!(["get"]));
    assert_eq!(words(&merged), ["g v1=x/scale"]);
}

#[test]
fn built_in_types_of_an_absent_peer_stay_and_its_custom_resources_go() {
    let a = serving("a", "v1.35.0").with(&["apps v1=x"]);
    let b =
        serving("b", "v1.36.0").with(&["apps v1=x,v2=x", "new.k8s.io v1=n", "c.example.com v1=c"]);
    let merged = merge_of(&[a, b.away()]);
    assert_eq!(words(&merged), ["apps v1=x,v2=x", "new.k8s.io v1=n"]);
    assert_eq!(find(&merged, "/apis", DocumentForm::AggregatedV2).unwrap().peers, [0]);
    assert_eq!(find(&merged, "/apis/apps", DocumentForm::Plain).unwrap().peers, [0]);
    assert!(
        find(&merged, "/apis/new.k8s.io", DocumentForm::Plain).is_none(),
        "nobody can be asked"
    );
}

#[test]
fn no_document_is_made_for_an_absent_peer_that_adds_nothing() {
    let a = serving("a", "v1.36.0").with(&["apps v1=x", "b.example.com v1=y"]);
    let b = serving("b", "v1.35.0").with(&["apps v1=x", "c.example.com v1=c"]);
    assert_eq!(merge_of(&[a, b.away()]), MergedDocuments::default());
}

#[test]
fn different_definitions_of_one_name_are_conflicts() {
    let a = serving("a", "v1.35.0").with(&["g v1=x"]);
    let mut b = list(&["g v1=x"]);
    let resource = &mut b["items"][0]["versions"][0]["resources"][0];
    resource["responseKind"]["kind"] = "Other".into();
    resource["scope"] = "Cluster".into();
    let b = serving("b", "v1.36.0").listing(read(&b));
    let conflicts: Vec<_> = merge_of(&[a, b]).conflicts.into_iter().collect();
    let conflict = |field, values: [&str; 2]| Conflict {
        resource: "g/v1/x".to_owned(),
        field,
        values: values.map(str::to_owned).to_vec(),
    };
    let expected = [conflict("kind", ["Other", "X"]), conflict("scope", ["Cluster", "Namespaced"])];
    assert_eq!(conflicts, expected);
}

#[test]
fn duplicate_groups_and_those_of_the_other_half_are_left_out() {
    let mut list = list(&["g v1=x", "h v1=y"]);
    list["items"][1]["metadata"]["name"] = "g".into();
    let document = read(&list);
    assert_eq!(document.groups().len(), 1);
    assert!(document.amended);
    let none = read_part(&list.to_string(), Part::Core);
    assert!(none.groups().is_empty() && none.amended);
}

#[test]
fn no_document_is_made_for_names_that_no_path_could_carry() {
    let odd = |versions: &str| {
        let mut list = list(&[&format!("g {versions}"), "h v1=y"]);
        list["items"][0]["versions"][0]["version"] = "a/b".into();
        read(&list)
    };
    let a = serving("a", "v1.35.0").listing(odd("x=x,v1=x"));
    let b = serving("b", "v1.36.0").listing(odd("x=y,v1=z"));
    let merged = merge_of(&[a, b]);
    assert_eq!(words(&merged), ["g v1=x+z", "h v1=y"]);
    let paths: Vec<_> = merged.documents.iter().map(|document| document.path.as_str()).collect();
    assert_eq!(paths, ["/apis", "/apis", "/apis/g/v1"]);
    let paths = json!({"paths": {"": {"serverRelativeURL": ""}, "/a": {"serverRelativeURL": ""}}});
    assert_eq!(serde_json::from_value::<OpenApiIndex>(paths).unwrap(), OpenApiIndex::default());
}

#[test]
fn a_document_with_more_versions_than_any_server_has_is_refused() {
    let versions: Vec<_> = (0..300).map(|n| json!({"version": format!("v{n}")})).collect();
    let list = json!({"kind": "APIGroupDiscoveryList", "items": [
        {"metadata": {"name": "g"}, "versions": versions}]});
    let error = serde_json::from_str::<DiscoveryDocument>(&list.to_string()).unwrap_err();
    assert!(error.to_string().contains("more than 256 items"), "{error}");
}

#[test]
fn equal_content_is_packed_once_and_to_the_same_bytes() {
    use base64::Engine as _;
    use std::io::Read as _;

    let mut packer = PackCache::default();
    let content = MergedText::from("{}".to_owned());
    let first = packer.pack(&content);
    packer.end_map();
    let second = packer.pack(&content);
    assert!(Arc::ptr_eq(&first.gzip, &second.gzip));
    assert_eq!(first.gzip, pack("{}").gzip);
    assert_eq!(first.etag.len(), 128);
    let gzip = base64::engine::general_purpose::STANDARD.decode(&*first.gzip).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*gzip).read_to_string(&mut text).unwrap();
    assert_eq!(text, "{}");
}
