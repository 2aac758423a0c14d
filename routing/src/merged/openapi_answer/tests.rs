//! What a client gets of a merged document of OpenAPI v3.

use discovery_map::{DocumentEncoding, DocumentForm};

use super::*;

const PEER: [(&[u8], &[u8]); 3] =
    [(b"date", b"Thu, 26 Nov 2026 17:26:16 GMT"), (b"audit-id", b"7"), (b"etag", b"\"PEER\"")];

fn document(form: DocumentForm) -> MergedDocument {
    MergedDocument {
        path: "/openapi/v3/apis/g/v1".into(),
        form,
        etag: Some("MERGED".into()),
        set: 0,
        peer_etag: Some("PEER".into()),
        size: 1,
        gzip: String::new(),
    }
}

/// Returns the answer as `code body`, and its headers.
fn answered(options: &ReadOptions<'_>, form: DocumentForm) -> (String, Vec<(String, String)>) {
    let content = Content::from(b"all".to_vec());
    let answer = answer(options, &document(form), &content, PEER.into_iter());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = answer.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    (format!("{} {}", answer.code, text(answer.body)), headers)
}

fn value(headers: &[(String, String)], name: &str) -> String {
    let found: Vec<_> = headers.iter().filter(|(n, _)| n == name).map(|(_, v)| &**v).collect();
    found.join("|")
}

#[test]
fn without_a_hash_the_document_is_not_to_be_cached() {
    let json = "application/json";
    let protobuf = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
    for (form, content_type) in [(DocumentForm::Plain, json), (DocumentForm::Protobuf, protobuf)] {
        let options = ReadOptions::new(None, b"gzip", DocumentEncoding::Json);
        let (answer, headers) = answered(&options, form);
        assert_eq!(answer, "200 all", "it is never compressed");
        let expected = [
            ("content-type", content_type),
            ("etag", "\"MERGED\""),
            ("vary", "Accept"),
            ("cache-control", "no-cache, private"),
            ("audit-id", "7"),
            ("expires", ""),
            ("location", ""),
            ("content-encoding", ""),
        ];
        for (name, expected) in expected {
            assert_eq!(value(&headers, name), expected, "{name}");
        }
    }
}

#[test]
fn with_its_hash_it_may_be_cached_for_a_year() {
    let options =
        ReadOptions { hash: b"MERGED", ..ReadOptions::new(None, b"", DocumentEncoding::Json) };
    let (answer, headers) = answered(&options, DocumentForm::Plain);
    assert_eq!(answer, "200 all");
    assert_eq!(value(&headers, "cache-control"), "public, immutable");
    assert_eq!(value(&headers, "expires"), "Fri, 26 Nov 2027 17:26:16 GMT");
    assert_eq!(value(&headers, "date"), "Thu, 26 Nov 2026 17:26:16 GMT");
}

#[test]
fn another_hash_is_redirected_to_the_right_one() {
    for hash in [&b"PEER"[..], b"merged", b"MERGED%20"] {
        let options = ReadOptions {
            hash,
            ..ReadOptions::new(Some(b"\"MERGED\""), b"", DocumentEncoding::Json)
        };
        let (answer, headers) = answered(&options, DocumentForm::Protobuf);
        assert_eq!(answer, "301 ");
        assert_eq!(value(&headers, "location"), "/openapi/v3/apis/g/v1?hash=MERGED");
        assert_eq!(value(&headers, "cache-control"), "no-cache, private");
    }
}

#[test]
fn a_client_that_has_the_document_gets_304() {
    let table = [
        ("\"MERGED\"", 304),
        ("W/\"MERGED\"", 304),
        ("\"a\", \"MERGED\"", 304),
        ("*", 304),
        ("\"PEER\"", 200),
        ("MERGED", 200),
        ("\"", 200),
        ("", 200),
    ];
    for (list, code) in table {
        let options = ReadOptions::new(Some(list.as_bytes()), b"", DocumentEncoding::Json);
        let (answer, headers) = answered(&options, DocumentForm::Plain);
        assert!(answer.starts_with(&code.to_string()), "{list}: {answer}");
        assert_eq!(value(&headers, "content-type").is_empty(), code == 304, "{list}");
        assert_eq!(value(&headers, "etag"), "\"MERGED\"");
    }
}

#[test]
fn a_year_later_is_a_valid_date_or_none() {
    let table = [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some("Mon, 06 Nov 1995 08:49:37 GMT")),
        ("Thu, 29 Feb 2024 00:00:00 GMT", Some("Sat, 01 Mar 2025 00:00:00 GMT")),
        ("Tue, 28 Feb 2023 23:59:59 GMT", Some("Wed, 28 Feb 2024 23:59:59 GMT")),
        ("Fri, 01 Jan 2027 00:00:00 GMT", Some("Sat, 01 Jan 2028 00:00:00 GMT")),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ("Sun, 06 Nov 18446744073709551615 08:49:37 GMT", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994", None),
        ("", None),
    ];
    for (date, later) in table {
        assert_eq!(one_year_after(date.as_bytes()).as_deref(), later, "{date}");
    }
}
