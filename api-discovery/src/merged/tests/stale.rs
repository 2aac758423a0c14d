//! Versions that some peer cannot refresh.

use super::*;

#[test]
fn stale_and_empty_versions_keep_what_was_known_and_are_marked_as_stale() {
    let mut a = serving("a", "v1.36.0");
    a.belief.update(Part::Named, read(&list(&["m v1=x+y", "n v1=z", "o v1=p"])));
    let now = read(&list(&["m v1!=", "n v1=", "o v1=p"]));
    a.belief.update(Part::Named, now.clone());
    assert!(a.belief.named.as_ref().unwrap().amended);
    assert_eq!(a.belief.update(Part::Named, now), Change::Nothing);
    let all_stale = merge_of(std::slice::from_ref(&a));
    assert_eq!(words(&all_stale), ["m v1!=x+y", "n v1!=z", "o v1=p"]);
    let b = serving("b", "v1.35.0").with(&["m v1=x", "n v1=z", "o v1=p"]);
    assert_eq!(words(&merge_of(&[a, b])), ["m v1=x+y", "n v1=z", "o v1=p"], "current somewhere");
}

#[test]
fn what_only_a_stale_list_of_an_aggregated_api_has_is_not_listed_while_another_is_fresh() {
    let a = serving("a", "v1.36.0").with(&["m.example.com v1!=x+y,v2=z", "apps v1=d"]);
    let b = serving("b", "v1.35.0").with(&["m.example.com v1=x,v2=z", "apps v1=d"]);
    let merged = merge_of(&[a.clone(), b]);
    assert_eq!(words(&merged), ["m.example.com v2=z,v1=x", "apps v1=d"]);
    let stale = serving("b", "v1.35.0").with(&["m.example.com v1!=x,v2=z", "apps v1=d"]);
    let all_stale = merge_of(&[a, stale]);
    assert_eq!(words(&all_stale), ["m.example.com v1!=x+y,v2=z", "apps v1=d"]);
}

#[test]
fn a_peer_with_a_stale_list_is_not_asked_for_the_document() {
    let a = serving("a", "v1.36.0").with(&["m.example.com v1!=x"]);
    let b = serving("b", "v1.35.0").with(&["m.example.com v1=x+y"]);
    let c = serving("c", "v1.35.0").with(&["m.example.com v1=x+z"]);
    let merged = merge_of(&[a, b, c]);
    let path = "/apis/m.example.com/v1";
    assert_eq!(find(&merged, path, DocumentForm::Plain).unwrap().peers, [1, 2]);
}
