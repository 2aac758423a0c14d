//! The verbs of requests, row by row, and by an independent reading of any query.

use discovery_map::Verb::{self, *};
use proptest::prelude::*;

use super::verb;
use crate::path::RequestPath;
use crate::target::Target;

fn verb_of(method: &str, path: &str) -> Option<Verb> {
    let path = RequestPath::new(path.as_bytes());
    let Target::Resource(target) = path.target() else { panic!("{path:?}") };
    verb(method.as_bytes(), path.query(), &target)
}

const PODS: &str = "/api/v1/namespaces/n/pods";

#[test]
fn the_verb_follows_from_method_path_and_query() {
    let table: &[(&str, &str, Option<Verb>)] = &[
        ("GET", "", Some(List)),
        ("HEAD", "", Some(List)),
        ("GET", "/p", Some(Get)),
        ("HEAD", "/p", Some(Get)),
        ("GET", "/p/status", Some(Get)),
        ("POST", "", Some(Create)),
        ("POST", "/p/eviction", Some(Create)),
        ("PUT", "/p", Some(Update)),
        ("PATCH", "/p/scale", Some(Patch)),
        ("DELETE", "/p", Some(Delete)),
        ("DELETE", "", Some(DeleteCollection)),
        ("DELETE", "?fieldSelector=metadata.name%3Dp", Some(DeleteCollection)),
        ("GET", "?fieldSelector=metadata.name%3Dp", Some(List)),
        ("GET", "?watch=true&fieldSelector=metadata.name%3Dp", Some(Watch)),
        ("OPTIONS", "", None),
        ("CONNECT", "/p", None),
        ("get", "", None),
        // Whoever is behind `proxy`, or below another subresource, answers.
        ("GET", "/p/proxy", None),
        ("POST", "/p/proxy/x", None),
        ("GET", "/p/status/more", None),
        ("GET", "/p/exec?command=ls", Some(Get)),
    ];
    for (method, rest, expected) in table {
        assert_eq!(verb_of(method, &format!("{PODS}{rest}")), *expected, "{method} {rest}");
    }
    for path in ["/api/v1/watch/pods", "/api/v1/watch/namespaces/n/pods/p"] {
        assert_eq!(verb_of("GET", path), Some(Watch), "{path}");
    }
    assert_eq!(verb_of("PUT", "/api/v1/namespaces/n/finalize"), Some(Update));
    assert_eq!(verb_of("GET", "/api/v1/namespaces/n"), Some(Get));
}

#[test]
fn a_watch_is_any_value_but_false_and_0() {
    for (query, expected) in [
        ("watch=true", Watch),
        ("watch=1", Watch),
        ("watch", Watch),
        ("watch=", Watch),
        ("watch=no", Watch),
        ("w%61tch=%74rue", Watch),
        ("a=b&watch=1", Watch),
        ("watch=1&watch=0", Watch),
        ("watch=%zz&watch=1", Watch),
        ("watch=0;&watch=1", Watch),
        ("watch=false", List),
        ("watch=FALSE", List),
        ("watch=0", List),
        ("watch=%30", List),
        ("watch=0&watch=1", List),
        ("watch=%zz", List),
        ("watch;=1", List),
        ("Watch=1", List),
        ("xwatch=1", List),
        ("limit=1", List),
        ("", List),
    ] {
        assert_eq!(verb_of("GET", &format!("{PODS}?{query}")), Some(expected), "{query}");
    }
}

proptest! {
    #[test]
    fn any_query_is_read_without_a_panic_and_only_for_collections(query: Vec<u8>) {
        let path = [PODS.as_bytes(), b"?", &query].concat();
        let path = RequestPath::new(&path);
        let Target::Resource(target) = path.target() else { panic!() };
        let found = verb(b"GET", path.query(), &target);
        prop_assert!(matches!(found, Some(List | Watch)));
        let named = crate::target::ResourceTarget { is_named: true, ..target };
        prop_assert_eq!(verb(b"GET", path.query(), &named), Some(Get));
    }

    #[test]
    fn a_plain_query_is_read_like_a_form(
        pairs in proptest::collection::vec(("watch|limit|w", "true|false|0|1|"), 0..5),
    ) {
        let parts: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let first = pairs.iter().find(|(name, _)| name == "watch");
        let expected = first.is_some_and(|(_, value)| value != "false" && value != "0");
        let found = verb_of("GET", &format!("{PODS}?{}", parts.join("&")));
        prop_assert_eq!(found == Some(Watch), expected);
    }
}
