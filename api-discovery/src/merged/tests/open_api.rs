//! Who answers for OpenAPI, and which documents are merged.

use std::slice::from_ref;

use super::*;
use crate::openapi::{MergedOpenApi, MergedOpenApiContent};

fn answers_of(peers: &[Peer], made: &[Arc<MergedOpenApi>]) -> OpenApiAnswers {
    let sources: Vec<_> = peers.iter().map(Peer::source).collect();
    merge_open_api(&sources, &built_in, made)
}

fn answers(peers: &[Peer]) -> OpenApiAnswers {
    answers_of(peers, &[])
}

/// A merged document of these hashes; without content if the first has everything.
fn made(path: &str, hashes: &[&str], has_content: bool) -> Arc<MergedOpenApi> {
    let content = has_content.then(|| MergedOpenApiContent::pack(b"{}", b""));
    let hashes = hashes.iter().map(|&hash| hash.into()).collect();
    Arc::new(MergedOpenApi { path: path.into(), hashes, content })
}

/// Returns the sources as `path=hash:positions,hash:positions`.
fn sources(answers: &OpenApiAnswers) -> Vec<String> {
    let document = |document: &OpenApiSource| format!("{}:{:?}", document.hash, document.peers);
    let sources = answers.sources.iter().map(|sources| {
        let documents: Vec<_> = sources.documents.iter().map(document).collect();
        format!("{}={}", sources.path, documents.join(","))
    });
    sources.collect()
}

fn v3(answers: &OpenApiAnswers) -> Vec<(&str, &[usize])> {
    answers.v3.iter().map(|(path, peers)| (&**path, &**peers)).collect()
}

fn index(answers: &OpenApiAnswers) -> String {
    let index = answers.index.as_ref().unwrap();
    assert_eq!((index.path.as_str(), index.has_etag), ("/openapi/v3", false));
    text(index)
}

#[test]
fn peers_with_equal_documents_all_answer() {
    let a = serving("a", "v1.36.0").with(&["g v1=x"]).open_api(&[("api", "1")]);
    let b = Peer { name: "b", ..a.clone() };
    assert_eq!(answers(&[a, b]), OpenApiAnswers::default());
    assert_eq!(answers(&[]), OpenApiAnswers::default());
}

#[test]
fn a_document_comes_from_the_first_peer_that_has_it_and_those_with_the_same() {
    let a = serving("a", "v1.35.0").with(&["g v1=x"]);
    let b = serving("b", "v1.36.0").with(&["g v1=x"]);
    let c = serving("c", "v1.36.0").with(&["g v1=x"]);
    let old = a.open_api(&[("api", "1"), ("apis/g/v1", "old"), ("apis/only-old/v1", "2")]);
    let new: &[_] = &[("api", "1"), ("apis/g/v1", "new")];
    let answers = answers(&[old, b.open_api(new), c.open_api(new)]);
    assert_eq!(answers.v2, Some(vec![1, 2]));
    assert_eq!(v3(&answers), [("apis/g/v1", &[1, 2][..]), ("apis/only-old/v1", &[0][..])]);
    let index = index(&answers);
    assert!(index.contains("apis/g/v1?hash=new") && index.contains("only-old"));
    assert!(answers.sources.is_empty(), "discovery says that they describe the same types");
}

#[test]
fn v2_comes_from_the_peers_that_know_most_and_not_from_the_newest() {
    let a = serving("a", "v1.36.0").with(&["g v1=x+y"]).open_api(&[("apis/g/v1", "1")]);
    let b = serving("b", "v1.37.0").with(&["g v1=x"]).open_api(&[("apis/g/v1", "2")]);
    let c = serving("c", "v1.36.0").with(&["g v1=x+y"]).open_api(&[("apis/g/v1", "1")]);
    assert_eq!(answers(&[b.clone(), a.clone(), c]).v2, Some(vec![1, 2]));
    let d = serving("d", "v1.37.0").with(&["g v1=x+z"]).open_api(&[("apis/g/v1", "3")]);
    assert_eq!(
        answers(&[a, b, d]).v2,
        Some(vec![2]),
        "of two that know as much, the first in rank"
    );
}

#[test]
fn documents_are_merged_where_discovery_differs_in_the_order_of_rank() {
    let old = ["g v1=x", "h v1=y", "k v1=z:get"];
    let new = ["g v1=x+n", "h v1=y", "k v1=z:patch"];
    let hashes = |hash: &'static str| {
        ["api", "apis/g/v1", "apis/h/v1", "apis/k/v1"].map(|path| (path, hash))
    };
    let a = serving("a", "v1.35.0").with(&old).open_api(&hashes("1"));
    let b = serving("b", "v1.36.0").with(&new).open_api(&hashes("2"));
    let c = serving("c", "v1.35.0").with(&old).open_api(&hashes("1"));
    let answers = answers(&[a, b, c]);
    assert_eq!(sources(&answers), ["apis/g/v1=2:[1],1:[0, 2]", "apis/k/v1=2:[1],1:[0, 2]"]);
    assert!(answers.documents.is_empty(), "nothing was made yet");
    assert!(index(&answers).contains("apis/g/v1?hash=2"));
}

#[test]
fn a_merged_document_is_named_by_the_index_and_its_access_check_asks_the_first_in_rank() {
    let a = serving("a", "v1.35.0").with(&["g v1=x+o"]).open_api(&[("apis/g/v1", "1")]);
    let b = serving("b", "v1.36.0").with(&["g v1=x+n"]).open_api(&[("apis/g/v1", "2")]);
    let made = made("apis/g/v1", &["2", "1"], true);
    let answers = answers_of(&[a, b], &[made]);
    let [document] = &answers.documents[..] else { panic!("{answers:?}") };
    assert_eq!((&*document.peers, &*document.peer_etag), (&[1][..], "2"));
    let etag = &document.document.content.as_ref().unwrap().etag;
    assert!(index(&answers).contains(&format!("apis/g/v1?hash={etag}")));
    assert_eq!(v3(&answers), [("apis/g/v1", &[1][..])], "for forms that are not merged");
}

#[test]
fn a_document_that_adds_nothing_or_is_made_of_others_is_not_used() {
    let a = serving("a", "v1.35.0").with(&["g v1=x"]).open_api(&[("apis/g/v1", "1")]);
    let b = serving("b", "v1.36.0").with(&["g v1=x+n"]).open_api(&[("apis/g/v1", "2")]);
    let peers = [a, b];
    for made in [made("apis/g/v1", &["2", "1"], false), made("apis/g/v1", &["2", "0"], true)] {
        let answers = answers_of(&peers, &[made]);
        assert_eq!((answers.documents.len(), answers.sources.len()), (0, 1));
        assert!(index(&answers).contains("apis/g/v1?hash=2"));
    }
}

#[test]
fn the_document_of_a_peer_that_is_away_stays_merged_if_it_is_built_in() {
    let hashes = |hash| [("apis/g/v1", hash), ("apis/c.example.com/v1", hash)];
    let a = serving("a", "v1.36.0").with(&["g v1=x", "c.example.com v1=x"]).open_api(&hashes("1"));
    let b =
        serving("b", "v1.37.0").with(&["g v1=x+n", "c.example.com v1=y"]).open_api(&hashes("2"));
    let c = Peer { name: "c", ..a.clone() }.open_api(&hashes("3"));
    let earlier = made("apis/g/v1", &["2", "3", "1"], true);
    let peers = [a, c, b.away()];
    let answers = answers_of(&peers, from_ref(&earlier));
    assert_eq!(sources(&answers), ["apis/g/v1=1:[0],3:[1],2:[2]"]);
    let [document] = &answers.documents[..] else { panic!("{answers:?}") };
    assert_eq!((&*document.peers, &*document.peer_etag), (&[0][..], "1"), "who is there is asked");
    // It cannot be made anew while the third is away, but without it.
    let less = made("apis/g/v1", &["1", "3"], true);
    let answers = answers_of(&peers, &[earlier.clone(), less.clone()]);
    assert_eq!(answers.made, from_ref(&earlier));
    let exact = made("apis/g/v1", &["1", "3", "2"], true);
    for made in [[exact.clone(), earlier.clone()], [earlier, exact.clone()]] {
        assert_eq!(answers_of(&peers, &made).made, from_ref(&exact));
    }
    // The third was forgotten.
    assert_eq!(answers_of(&peers[..2], &[exact, less]).sources.len(), 0, "they serve the same");
}

#[test]
fn a_document_that_one_peer_does_not_send_is_merged_of_the_others() {
    let hash = |hash| [("apis/g/v1", hash)];
    let a = serving("a", "v1.37.0").with(&["g v1=x"]).open_api(&hash("1"));
    let b = serving("b", "v1.36.0").with(&["g v1=y"]).open_api(&hash("2"));
    let c = serving("c", "v1.35.0").with(&["g v1=z"]).open_api(&hash("3"));
    let peers = [a, b, c];
    let some = made("apis/g/v1", &["1", "3"], true);
    assert_eq!(answers_of(&peers, from_ref(&some)).documents.len(), 1);
    let without_the_first = made("apis/g/v1", &["2", "3"], true);
    assert!(answers_of(&peers, &[without_the_first]).documents.is_empty());
}

#[test]
fn documents_that_were_never_read_are_not_merged() {
    let a = serving("a", "v1.35.0").with(&["g v1=x"]).open_api(&[("apis/g/v1", "1")]);
    let b = serving("b", "v1.36.0").open_api(&[("apis/g/v1", "2"), ("apis/g", "2"), ("logs", "2")]);
    assert!(answers(&[a.clone(), b]).sources.is_empty(), "its types are not known");
    let c = serving("c", "v1.36.0").with(&["g v1=x+n"]).open_api(&[("apis/g/v1", "a\"b")]);
    assert!(answers(&[a, c]).sources.is_empty(), "a hash that could not be an ETag");
}
