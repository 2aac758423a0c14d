//! Which storage versions merged documents carry, and which documents they make.

use super::*;

const PATH: &str = "/apis/g/v1";

impl Peer {
    /// Sets the hashes of `g/v1`, as `resource=hash`.
    fn storing(mut self, hashes: &[&str]) -> Self {
        let resource = |text: &&str| {
            let (name, hash) = text.split_once('=').unwrap();
            json!({"name": name, "storageVersionHash": hash})
        };
        let resources: Vec<_> = hashes.iter().map(resource).collect();
        let document = serde_json::from_value(json!({ "resources": resources })).unwrap();
        assert!(self.belief.update_storage("g", "v1", &document));
        assert!(!self.belief.update_storage("g", "v1", &document), "nothing is new");
        self
    }
}

/// Returns the hashes in the merged document, as `resource=hash`; `None` if it is not merged.
fn hashes(peers: &[Peer]) -> Option<Vec<String>> {
    let merged = merge_of(peers);
    let document = find(&merged, PATH, DocumentForm::Plain)?;
    let document: Value = serde_json::from_str(&text(document)).unwrap();
    let hash = |resource: &Value| {
        let hash = resource["storageVersionHash"].as_str()?;
        Some(format!("{}={hash}", resource["name"].as_str().unwrap()))
    };
    Some(document["resources"].as_array().unwrap().iter().filter_map(hash).collect())
}

fn a() -> Peer {
    serving("a", "v1.35.0").with(&["g v1=x+y"])
}

fn b() -> Peer {
    serving("b", "v1.36.0").with(&["g v1=x+y"])
}

#[test]
fn peers_that_differ_in_a_hash_alone_have_a_merged_document_without_it() {
    let same = a().storing(&["x=1", "y=2"]);
    assert_eq!(hashes(&[same.clone(), b().storing(&["x=1", "y=2"])]), None);
    let other = b().storing(&["x=1", "y=3"]);
    assert_eq!(hashes(&[same.clone(), other]).unwrap(), ["x=1"]);
    let without = b().storing(&["x=1", "y="]);
    assert_eq!(hashes(&[same, without]).unwrap(), ["x=1"]);
}

#[test]
fn only_peers_that_list_a_resource_say_how_it_is_stored() {
    let more = serving("b", "v1.36.0").with(&["g v1=x+y+z"]).storing(&["x=1", "y=3", "z=4"]);
    let found = hashes(&[a().storing(&["x=1", "y=2"]), more]).unwrap();
    assert_eq!(found, ["x=1", "z=4"]);
}

#[test]
fn a_peer_that_was_not_read_yet_makes_no_document_and_no_hash() {
    assert_eq!(hashes(&[a(), b().storing(&["x=1"])]), None);
    let more = serving("b", "v1.36.0").with(&["g v1=x+y+z"]).storing(&["x=1"]);
    assert_eq!(hashes(&[a(), more]).unwrap(), Vec::<String>::new());
}

#[test]
fn a_peer_that_is_away_or_restarted_does_not_count() {
    let (old, new) = (a().storing(&["x=1", "y=2"]), b().storing(&["x=1", "y=3"]));
    assert_eq!(hashes(&[old.clone().away(), new.clone()]), None);
    let mut anew = old;
    anew.belief.forget_storage();
    assert_eq!(hashes(&[anew, new]), None);
}
