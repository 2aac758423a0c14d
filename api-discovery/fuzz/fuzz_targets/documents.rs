//! Any discovery documents of two peers of any versions, serving or away, are
//! read and merged without a panic, whoever was asked first; and what is made
//! of them is JSON, and adds nothing to what it was made of.
#![no_main]

use std::sync::Arc;

use api_discovery::{
    Aggregated, Content, Document, Made, OpenApiIndex, OriginsList, Part, Release, Says, make,
};
use libfuzzer_sys::fuzz_target;

/// What one peer answers.
#[derive(Default)]
struct Peer {
    core: Option<Arc<Aggregated>>,
    named: Option<Arc<Aggregated>>,
    open_api: Option<Arc<OpenApiIndex>>,
}

impl Peer {
    fn read(core: &[u8], named: &[u8]) -> Self {
        let open_api = serde_json::from_slice(named).ok().map(Arc::new);
        Self { core: read(core, Part::Core), named: read(named, Part::Named), open_api }
    }

    /// `flags`: which version, and whether it serves.
    fn says(&self, name: &'static str, flags: u8) -> Says<'_> {
        let version = ["v1.35.4", "v1.36.3", "", "v1.36.0-rc.1"];
        Says {
            name,
            release: Release::parse(version[usize::from(flags & 3)]),
            serving: flags & 4 != 0,
            core: self.core.as_ref(),
            named: self.named.as_ref(),
            open_api: self.open_api.as_ref(),
        }
    }
}

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

fn contents(made: &Made) -> Vec<String> {
    made.documents.iter().map(|document| document.content.to_string()).collect()
}

/// Some group-versions are built in, and stay while their peer is away.
fn built_in(group: &str, _: &str) -> bool {
    group.len() % 2 == 0
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&flags, documents)) = bytes.split_first() else { return };
    let mut documents = documents.split(|&byte| byte == 0);
    let mut next = || documents.next().unwrap_or_default();
    let (first, second) = (next(), next());
    let _ = serde_json::from_slice::<OriginsList>(first);

    let (a, b) = (Peer::read(next(), first), Peer::read(next(), second));
    let (says_a, says_b) = (a.says("a", flags), b.says("b", flags >> 4));
    let made = make(&[says_a.clone(), says_b.clone()], &built_in);
    assert_eq!(contents(&made), contents(&make(&[says_b, says_a], &built_in)));
    for document in &made.documents {
        let text = document.content.to_string();
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        if matches!(document.content, Content::Aggregated { version: "v2", .. }) {
            let mut again = Peer::default();
            match document.path.as_str() {
                "/api" => again.core = read(text.as_bytes(), Part::Core),
                _ => again.named = read(text.as_bytes(), Part::Named),
            }
            assert!(again.core.is_some() || again.named.is_some(), "what is made can be read");
            let alone = make(&[again.says("c", 4)], &built_in);
            assert_eq!(contents(&alone), Vec::<String>::new());
        }
    }
    if let [Some(now), Some(before)] = [&a.named, &b.named] {
        let kept = Aggregated::clone(now).over(Some(before));
        assert_eq!(kept.groups.len(), now.groups.len());
    }
});
