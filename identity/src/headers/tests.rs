//! The headers of a subject, and that all of them are claims.

use discovery_map::IdentityHeaders;
use proptest::prelude::*;

use super::CREDENTIAL_ID;
use crate::name::tests::{name_strategy, print};
use crate::{Claims, Field, Subject, SubjectError};

const DIGEST: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const SUBJECT: &[u8] = b"CN=jane,O=ops,O=dev,1.3.6.1.4.1.57683.2=#0C0175";

fn names() -> IdentityHeaders {
    IdentityHeaders {
        front_proxy: true,
        uid_headers: vec!["x-remote-uid".into()],
        ..IdentityHeaders::default()
    }
}

fn lines(
    subject: &[u8],
    digest: &[u8],
    names: &IdentityHeaders,
) -> Result<Vec<String>, SubjectError> {
    let headers = Subject::parse(subject)?.headers(digest, names)?;
    Ok(headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect())
}

#[test]
fn every_part_has_its_header() {
    let expected = [
        "x-remote-user: jane",
        "x-remote-group: dev",
        "x-remote-group: ops",
        "x-remote-uid: u",
        "x-remote-extra-authentication.kubernetes.io%2fcredential-id: X509SHA256=\
         0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ];
    assert_eq!(lines(SUBJECT, DIGEST, &names()).unwrap(), expected);
    assert_eq!(lines(SUBJECT, &DIGEST.to_ascii_uppercase(), &names()).unwrap(), expected);
}

#[test]
fn the_first_configured_name_is_used() {
    let names = IdentityHeaders {
        front_proxy: true,
        username_headers: vec!["X-User".into(), "x-remote-user".into()],
        group_headers: vec!["x-group".into(), "x-remote-group".into()],
        uid_headers: Vec::new(),
        extra_header_prefixes: vec!["x-extra-".into(), "x-remote-extra-".into()],
    };
    let found = lines(b"CN=jane,O=dev", DIGEST, &names).unwrap();
    assert_eq!(found[..2], ["x-user: jane", "x-group: dev"]);
    assert!(found[2].starts_with("x-extra-authentication.kubernetes.io%2fcredential-id: X509"));
    assert_eq!(found.len(), 3);
}

#[test]
fn a_header_that_the_servers_do_not_read_is_not_sent() {
    let mut names = IdentityHeaders { uid_headers: Vec::new(), ..names() };
    names.extra_header_prefixes.clear();
    let found = lines(SUBJECT, DIGEST, &names).unwrap();
    assert_eq!(found, ["x-remote-user: jane", "x-remote-group: dev", "x-remote-group: ops"]);
}

#[test]
fn a_user_is_not_sent_in_part() {
    let no_user = IdentityHeaders { username_headers: Vec::new(), ..names() };
    let no_group = IdentityHeaders { group_headers: Vec::new(), ..names() };
    let missing = |field| Err(SubjectError::NoHeader(field));
    assert_eq!(lines(SUBJECT, DIGEST, &no_user), missing(Field::CommonName));
    assert_eq!(lines(SUBJECT, DIGEST, &no_group), missing(Field::Organization));
    assert_eq!(lines(b"CN=jane", DIGEST, &no_group).unwrap().len(), 2);
}

#[test]
fn a_digest_is_64_hexadecimal_digits() {
    let mut odd = DIGEST.to_vec();
    odd[10] = b'g';
    let longer = [DIGEST, b"0"].concat();
    for digest in [b"".as_slice(), &DIGEST[1..], &longer, &odd, &[0xff; 64], &[b' '; 64]] {
        assert_eq!(lines(SUBJECT, digest, &names()), Err(SubjectError::Digest));
    }
}

/// Go's `url.PathUnescape`, for what is ASCII.
fn unescaped(key: &str) -> String {
    let mut parts = key.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push(char::from(u8::from_str_radix(&part[..2], 16).unwrap()));
        plain.push_str(&part[2..]);
    }
    plain
}

#[test]
fn the_extra_key_is_read_back() {
    assert_eq!(unescaped(CREDENTIAL_ID), "authentication.kubernetes.io/credential-id");
    let token = |byte: u8| byte.is_ascii_lowercase() || b"%.-".contains(&byte) || byte == b'2';
    assert!(CREDENTIAL_ID.bytes().all(token));
}

proptest! {
    #[test]
    fn every_header_is_fit_to_send_and_would_be_taken_from_a_client(name in name_strategy()) {
        let text = print(&name);
        let Ok(subject) = Subject::parse(text.as_bytes()) else { return Ok(()) };
        for (name, value) in subject.headers(DIGEST, &names()).unwrap() {
            prop_assert!(Claims::new(&names()).include(name.as_bytes()));
            prop_assert!(!value.is_empty() && value.trim_matches([' ', '\t']) == value);
            prop_assert!(!value.bytes().any(|byte| byte.is_ascii_control()));
        }
    }
}
