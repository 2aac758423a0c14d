//! Properties of the path reader.

use proptest::prelude::*;

use super::percent_decode;
use crate::{RequestPath, Target};

fn escape_all(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

#[test]
fn escapes_are_decoded_in_either_case() {
    assert_eq!(percent_decode(b"%2f%2F%aB").as_deref(), Some(&b"//\xab"[..]));
    assert_eq!(percent_decode(b"%"), None);
    assert_eq!(percent_decode(b"%2"), None);
    assert_eq!(percent_decode(b"%2g"), None);
    assert_eq!(percent_decode(b"%+1"), None);
}

#[test]
fn a_question_mark_ends_the_path_unless_it_is_escaped() {
    assert_eq!(RequestPath::new(b"/api?x=%zz").target(), Target::Discovery);
    assert_eq!(RequestPath::new(b"/api%3F").target(), Target::NotAnApi);
}

proptest! {
    #[test]
    fn any_bytes_have_a_target(bytes: Vec<u8>) {
        let _ = RequestPath::new(&bytes).target();
    }

    #[test]
    fn any_path_below_an_api_prefix_has_a_target(tail: Vec<u8>, prefix in "/apis?/(v1/)?") {
        let mut path = prefix.into_bytes();
        path.extend(tail);
        let _ = RequestPath::new(&path).target();
    }

    #[test]
    fn escaping_changes_nothing(path in "(/[a-z./]{0,12}){0,8}") {
        let escaped = escape_all(path.as_bytes());
        let (plain, other) = (RequestPath::new(path.as_bytes()), RequestPath::new(escaped.as_bytes()));
        prop_assert_eq!(plain.target(), other.target());
    }

    #[test]
    fn the_query_changes_nothing(path in "(/[a-z]{0,8}){0,9}", query: Vec<u8>) {
        let mut with_query = path.clone().into_bytes();
        with_query.push(b'?');
        with_query.extend(query);
        let (plain, other) = (RequestPath::new(path.as_bytes()), RequestPath::new(&with_query));
        prop_assert_eq!(plain.target(), other.target());
    }

    #[test]
    fn a_well_formed_path_gives_back_its_parts(
        (group, version, resource, subresource) in
            ("[a-z]{1,9}\\.io", "v[1-9]", "[a-vx-z][a-z]{2,9}s", proptest::option::of("[a-z]{1,9}")),
        (namespace, name) in (proptest::option::of("[a-z]{1,9}"), "[a-z]{1,9}"),
    ) {
        prop_assume!(resource != "namespaces");
        prop_assume!(resource != "status");
        let scope = namespace.as_ref().map(|n| format!("namespaces/{n}/")).unwrap_or_default();
        let tail = subresource.as_ref().map(|s| format!("/{s}")).unwrap_or_default();
        let path = format!("/apis/{group}/{version}/{scope}{resource}/{name}{tail}");
        let path = RequestPath::new(path.as_bytes());
        let Target::Resource(target) = path.target() else {
            return Err(TestCaseError::fail("no resource"));
        };
        prop_assert_eq!(target.group, group.as_bytes());
        prop_assert_eq!(target.version, version.as_bytes());
        prop_assert_eq!(target.resource, resource.as_bytes());
        prop_assert_eq!(target.subresource, subresource.as_ref().map(String::as_bytes));
        prop_assert_eq!(target.in_namespace, namespace.is_some());
        prop_assert!(target.is_named && !target.has_tail);
    }
}

#[test]
fn the_hash_is_the_first_parameter_of_that_name() {
    let table = [
        ("/a?hash=B", "B"),
        ("/a?x=1&hash=B%20&hash=C", "B%20"),
        ("/a?hash=&hash=C", ""),
        ("/a?xhash=B", ""),
        ("/a?hash", ""),
        ("/a?x?hash=B", ""),
        ("/hash=B", ""),
        ("/a", ""),
    ];
    for (path, hash) in table {
        assert_eq!(RequestPath::new(path.as_bytes()).hash(), hash.as_bytes(), "{path}");
    }
}
