//! Reads and merges any discovery documents of two peers, of any versions, serving
//! or away. Nothing panics, and it does not matter which peer was asked first. What
//! is made is JSON, and merging it again adds nothing.
#![no_main]

use api_discovery::{
    Belief, Change, DiscoveryDocument, MergeSource, MergedDocuments, OriginsList, Part, Release,
    merge_documents,
};
use discovery_map::DocumentForm;
use libfuzzer_sys::fuzz_target;

fn believe(core: &[u8], named: &[u8]) -> Belief {
    let mut belief = Belief::default();
    read(&mut belief, core, Part::Core);
    read(&mut belief, named, Part::Named);
    if let Ok(index) = serde_json::from_slice(named) {
        belief.update_open_api(index);
    }
    belief
}

fn read(belief: &mut Belief, bytes: &[u8], part: Part) -> Option<Change> {
    match serde_json::from_slice(bytes).ok()? {
        DiscoveryDocument::Aggregated(list) => Some(belief.update(part, list.read(part))),
        DiscoveryDocument::Legacy(_) => None,
    }
}

/// `flags`: which version, and whether it serves.
fn source<'b>(name: &'static str, belief: &'b Belief, flags: u8) -> MergeSource<'b> {
    let version = ["v1.35.4", "v1.36.3", "", "v1.36.0-rc.1"];
    let release = Release::parse(version[usize::from(flags & 3)]);
    MergeSource { name, release, answering: flags & 8 != 0, serving: flags & 4 != 0, belief }
}

fn contents(merged: &MergedDocuments) -> Vec<String> {
    merged.documents.iter().map(|document| document.content.to_string()).collect()
}

/// Some group-versions are built in, and stay while their peer is away.
fn is_built_in(group: &str, _: &str) -> bool {
    group.len() % 2 == 0
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, documents)) = bytes.split_first() else { return };
    let mut documents = documents.split(|&byte| byte == 0);
    let mut next = || documents.next().unwrap_or_default();
    let (first, second) = (next(), next());
    let _ = serde_json::from_slice::<OriginsList>(first);

    let (a, mut b) = (believe(next(), first), believe(next(), second));
    let (source_a, source_b) = (source("a", &a, flags), source("b", &b, flags >> 4));
    let merged = merge_documents(&[source_a.clone(), source_b.clone()], &is_built_in);
    let other_order = merge_documents(&[source_b, source_a], &is_built_in);
    assert_eq!(contents(&merged), contents(&other_order));
    for document in &merged.documents {
        let text = document.content.to_string();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        if document.form == DocumentForm::AggregatedV2 {
            let part = if document.path == "/api" { Part::Core } else { Part::Named };
            let mut again = Belief::default();
            let change = read(&mut again, text.as_bytes(), part);
            assert_eq!(change, Some(Change::Types), "what is made can be read");
            let alone = merge_documents(&[source("c", &again, 4)], &is_built_in);
            assert_eq!(contents(&alone), Vec::<String>::new());
        }
    }

    // What an answer lists stays, and what was believed is saved and restored.
    let count = |belief: &Belief| belief.listing(Part::Named).map(|list| list.groups().len());
    if let Some(Change::Types | Change::Details) = read(&mut b, first, Part::Named) {
        assert_eq!(count(&b), count(&a));
    }
    let saved = b.to_save(is_built_in);
    let json = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<Belief>(&json).unwrap(), saved);
});
