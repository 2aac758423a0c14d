//! Any two discovery documents, one for each peer, are read and merged without
//! a panic, whoever was asked first; and what is made of them is JSON, and
//! adds nothing to what it was made of.
#![no_main]

use std::sync::Arc;

use companion::discovery::{Document, OriginsList, Part};
use companion::documents::{Aggregated, Content, Made, OpenApiIndex, Release, Says, make};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], part: Part) -> Option<Arc<Aggregated>> {
    match serde_json::from_slice(bytes).ok()? {
        Document::Aggregated(list) => Some(Arc::new(list.read(part).1)),
        Document::Groups(list) => {
            list.group_versions().for_each(drop);
            None
        }
        Document::Versions(list) => {
            list.group_versions().for_each(drop);
            None
        }
    }
}

fn says<'p>(
    name: &'static str,
    named: Option<&'p Arc<Aggregated>>,
    open_api: Option<&'p Arc<OpenApiIndex>>,
) -> Says<'p> {
    Says { name, release: Release::default(), serving: true, core: None, named, open_api }
}

fn contents(made: &Made) -> Vec<String> {
    made.documents.iter().map(|document| document.content.to_string()).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (first, second) = bytes.split_at(middle);
    let second = second.get(1..).unwrap_or_default();
    let _ = serde_json::from_slice::<OriginsList>(first);
    let indexes =
        [first, second].map(|b| serde_json::from_slice::<OpenApiIndex>(b).ok().map(Arc::new));
    let _ = read(first, Part::Core);

    let peers = [read(first, Part::Named), read(second, Part::Named)];
    let [a, b] = [0, 1].map(|at| says(["a", "b"][at], peers[at].as_ref(), indexes[at].as_ref()));
    let made = make(&[a.clone(), b.clone()], &|_, _| true);
    assert_eq!(contents(&made), contents(&make(&[b, a], &|_, _| true)));
    for document in &made.documents {
        let text = document.content.to_string();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        if matches!(document.content, Content::Aggregated { version: "v2", .. }) {
            let again = read(text.as_bytes(), Part::Named).expect("what is made can be read");
            let alone = says("c", Some(&again), None);
            assert_eq!(contents(&make(&[alone], &|_, _| true)), Vec::<String>::new());
        }
    }
    if let [Some(now), Some(before)] = &peers {
        let kept = Aggregated::clone(now).over(Some(before));
        assert_eq!(kept.groups.len(), now.groups.len());
    }
});
