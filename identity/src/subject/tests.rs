//! Subjects as Envoy 1.40 printed them, beside what Go 1.26 read in the same
//! certificates; then what Envoy never prints.

mod properties;

use super::Subject;
use crate::{Field, SubjectError};

const NOT_TEXT: SubjectError = SubjectError::NotText;
const UNREADABLE: SubjectError = SubjectError::Unreadable;
const NO_NAME: SubjectError = SubjectError::NoCommonName;
const NO_GROUP: SubjectError = SubjectError::Empty(Field::Organization);

/// A subject's parts as one line: `user | group | group # uid`.
fn parts(text: &[u8]) -> Result<String, SubjectError> {
    let subject = Subject::parse(text)?;
    let mut line = subject.user.clone();
    for group in &subject.groups {
        line.push_str(" | ");
        line.push_str(group);
    }
    if let Some(uid) = &subject.uid {
        line.push_str(" # ");
        line.push_str(uid);
    }
    Ok(line)
}

fn check(table: &[(&str, Result<&str, SubjectError>)]) {
    for (text, expected) in table {
        let found = parts(text.as_bytes());
        assert_eq!(found.as_deref(), expected.as_ref().copied(), "{text}");
    }
}

#[test]
fn names_and_groups_are_what_go_reads() {
    check(&[
        (
            r"CN=Jos\C3\A9 \, \C3\9Cn\C3\AF\;\<x\>,O=a,O=dev\, team",
            Ok("José , Ünï;<x> | dev, team | a"),
        ),
        ("CN=alice", Ok("alice")),
        ("CN=second,CN=first,O=b,O=a", Ok("second | a | b")),
        ("CN=c+O=b+O=a", Ok("c | a | b")),
        ("O=y+O=x,O=b+CN=c", Ok("c | b | x | y")),
        ("CN=first+CN=second", Ok("first")),
        ("O=system:nodes,CN=system:node:n1", Ok("system:node:n1 | system:nodes")),
        (
            "CN=kubernetes-admin,O=kubeadm:cluster-admins",
            Ok("kubernetes-admin | kubeadm:cluster-admins"),
        ),
        (r#"CN=x,O=a=b,O=\"q\",O=a\+b"#, Ok(r#"x | a+b | "q" | a=b"#)),
        (r#"CN=\"quoted\""#, Ok("\"quoted\"")),
        (r"CN=a\+b=c\,d\\e\<f\>\;g#h", Ok(r"a+b=c,d\e<f>;g#h")),
        ("CN==", Ok("=")),
        (r"CN=\#hash", Ok("#hash")),
        (r"CN=\#", Ok("#")),
        ("CN=a b  c", Ok("a b  c")),
        (r"CN=a\\", Ok(r"a\")),
        (r"O=C3A9,CN=\\2C", Ok(r"\2C | C3A9")),
        ("CN=a,O=x,O=x", Ok("a | x | x")),
        ("CN=p*&", Ok("p*&")),
        ("CN=12 3", Ok("12 3")),
        ("CN=ia5@x", Ok("ia5@x")),
        (r"CN=Jos\C3\A9", Ok("José")),
        (r"CN=J\C4\80", Ok("JĀ")),
        (r"CN=emoji \F0\9F\98\80", Ok("emoji 😀")),
        // No control characters to a header, which are bytes.
        (r"CN=a\C2\85\C2\A0b", Ok("a\u{85}\u{a0}b")),
    ]);
}

#[test]
fn a_value_cannot_pass_for_another_attribute() {
    check(&[
        (r"CN=a\,CN=admin", Ok("a,CN=admin")),
        (r"CN=a\,O=system:masters", Ok("a,O=system:masters")),
        (r"CN=a\+O=system:masters", Ok("a+O=system:masters")),
        (r"CN=a,OU=b\,O=system:masters", Ok("a")),
        (r"CN=a,OU=\\\,O=system:masters", Ok("a")),
        ("CN=a,OU=O=system:masters", Ok("a")),
        (r"CN=a,1.2.3=#0C104F3D73797374656D3A6D617374657273", Ok("a")),
    ]);
}

#[test]
fn long_values_are_whole() {
    let long = "x".repeat(200);
    let hex = "78".repeat(200);
    let text = format!("1.3.6.1.4.1.57683.2=#0C81C8{hex},CN={long},O={long}");
    assert_eq!(parts(text.as_bytes()), Ok(format!("{long} | {long} # {long}")));
    let longer = "x".repeat(300);
    let text = format!("1.3.6.1.4.1.57683.2=#0C82012C{},CN=a", "78".repeat(300));
    assert_eq!(parts(text.as_bytes()), Ok(format!("a # {longer}")));
}

#[test]
fn other_attributes_do_not_matter_if_they_are_valid() {
    check(&[
        (
            "CN=a,2.5.4.97=#0C056F72676964,x500UniqueIdentifier=x500,pseudonym=pseudo,dnQualifier=dnq,\
             serialNumber=ser,title=title,GN=gn,SN=sn,OU=ou,postalCode=12345,street=street,L=L,ST=ST,C=DE",
            Ok("a"),
        ),
        (
            "CN=a,name=nm,description=desc,businessCategory=cat,1.3.6.1.4.1.311.60.2.1.3=#0C024445,\
             unstructuredAddress=unaddr,unstructuredName=unstr,0.9.2342.19200300.100.1.44=#0C04756E6971,\
             emailAddress=e@x,mail=mail,DC=dc,UID=uid",
            Ok("a"),
        ),
        (
            "CN=a,wap-wsg-idm-ecid-wtls1=wap,msUPN=upn,X509=x509,1.3.6.1.4.1.11129.2.4.2=#0C026374,\
             SHA256=sha,id-ecPublicKey=ec,subjectAltName=san",
            Ok("a"),
        ),
        ("CN=a,RSA-SHA512/256=x,md_gost94=y", Ok("a")),
        ("CN=a,1.2.3.4=#0C07756E6B6E6F776E", Ok("a")),
        ("CN=a,1.2.3.4=#0C00", Ok("a")),
        ("CN=a,OU=,C=DE", Ok("a")),
        // Kubernetes' user ID is not X.500's, and case matters.
        ("CN=a,UID=u", Ok("a")),
        ("cn=a", Err(NO_NAME)),
        ("CN=a,o=b", Ok("a")),
        // A value with a line break does not become a header.
        (r"CN=a,OU=x\0D\0A", Ok("a")),
        // A type of more than 79 characters is cut off.
        (
            "CN=a,1.2.1234567890.1234567890.1234567890.1234567890.1234567890.1234567890.123456789\
             =#0C046C6F6E67",
            Ok("a"),
        ),
        ("CN=a,1.2.2147483647.4=#0C0178", Ok("a")),
        ("CN=a,1.2.2147483648.4=#0C0178", Err(UNREADABLE)),
        ("CN=a,1.2.4294967296.4=#0C0178", Err(UNREADABLE)),
        ("CN=a,=#0C0468756765", Err(UNREADABLE)),
        ("CN=a,1.2.3.4=#0407756E6B6E6F776E", Err(NOT_TEXT)),
        ("CN=a,1.2.3.4=#1308756E5F6B6E6F776E", Err(NOT_TEXT)),
        ("CN=a,1.2.3.4=#1A07756E6B6E6F776E", Err(NOT_TEXT)),
    ]);
}

#[test]
fn the_user_id_is_read_as_go_reads_it() {
    let control = SubjectError::ControlCharacter(Field::Uid);
    check(&[
        ("CN=a,1.3.6.1.4.1.57683.2=#0C057569642D31", Ok("a # uid-1")),
        ("CN=a,1.3.6.1.4.1.57683.2=#13057569642D31", Ok("a # uid-1")),
        ("CN=a,1.3.6.1.4.1.57683.2=#1E0400750069", Ok("a # ui")),
        ("CN=a,1.3.6.1.4.1.57683.2=#140275E9", Ok("a # ué")),
        ("1.3.6.1.4.1.57683.2=#0C0175+CN=a+O=g", Ok("a | g # u")),
        ("CN=a,1.3.6.1.4.1.57683.2=#040175", Err(NOT_TEXT)),
        ("CN=a,1.3.6.1.4.1.57683.2=#1A0175", Err(NOT_TEXT)),
        ("CN=a,1.3.6.1.4.1.57683.2=#020105", Err(NOT_TEXT)),
        ("CN=a,1.3.6.1.4.1.57683.2=#0C01FF", Err(NOT_TEXT)),
        ("CN=a,1.3.6.1.4.1.57683.2=#", Err(NOT_TEXT)),
        ("CN=a,1.3.6.1.4.1.57683.2=#0C", Err(NOT_TEXT)),
        ("CN=a,1.3.6.1.4.1.57683.2=#0C0275", Err(NOT_TEXT)),
        ("CN=a,1.3.6.1.4.1.57683.2=#0C00", Err(SubjectError::Empty(Field::Uid))),
        ("CN=a,1.3.6.1.4.1.57683.2=#0C010A", Err(control)),
        ("CN=a,1.3.6.1.4.1.57683.2=#0C027520", Err(SubjectError::OuterBlank(Field::Uid))),
        (
            "CN=a,1.3.6.1.4.1.57683.2=#0C0161,1.3.6.1.4.1.57683.2=#0C0161",
            Err(SubjectError::SeveralUids),
        ),
        (
            "CN=a,1.3.6.1.4.1.57683.2=#0C0161,1.3.6.1.4.1.57683.2=#0C00",
            Err(SubjectError::SeveralUids),
        ),
        ("CN=a,1.3.6.1.4.1.57683.2=u", Err(UNREADABLE)),
        ("CN=a,1.3.6.1.4.1.57683.20=#0C0175", Ok("a")),
    ]);
}

#[test]
fn a_subject_without_a_user_is_refused() {
    check(&[
        ("", Err(NO_NAME)),
        ("CN=", Err(NO_NAME)),
        ("CN=,CN=first", Err(NO_NAME)),
        ("CN=,O=a", Err(NO_NAME)),
        ("O=system:masters", Err(NO_NAME)),
        ("O=a,OU=CN=x", Err(NO_NAME)),
    ]);
}

#[test]
fn a_value_that_no_header_can_carry_is_refused() {
    let control = |field| Err(SubjectError::ControlCharacter(field));
    let blank = |field| Err(SubjectError::OuterBlank(field));
    let (name, group) = (Field::CommonName, Field::Organization);
    check(&[
        (r"CN=a\0D\0AX-Remote-User: root", control(name)),
        (r"CN=a\0Ab", control(name)),
        (r"CN=a\0Db", control(name)),
        (r"CN=a\00b", control(name)),
        (r"CN=\00", control(name)),
        (r"CN=J\00", control(name)),
        (r"CN=a\09b", control(name)),
        (r"CN=a\1Fb", control(name)),
        (r"CN=a\7Fb", control(name)),
        (r"CN=x,O=a\0Ab", control(group)),
        (r"CN=\ lead", blank(name)),
        (r"CN=trail\ ", blank(name)),
        (r"CN=\ ", blank(name)),
        (r"CN=\ \ ", blank(name)),
        (r"CN=\#\ ", blank(name)),
        (r"CN=x,O=\ a", blank(group)),
        (r"CN=x,O=a\ ", blank(group)),
        (r"CN=x,O=a\ ,O=b", blank(group)),
        ("CN=a,O=", Err(NO_GROUP)),
        ("CN=a,O=,O=b", Err(NO_GROUP)),
        ("CN=a+O=", Err(NO_GROUP)),
    ]);
}

#[test]
fn a_value_that_is_not_text_is_refused() {
    check(&[
        ("CN=#1B0767656E6572616C", Err(NOT_TEXT)),
        ("CN=#04036F6374", Err(NOT_TEXT)),
        ("CN=#020101", Err(NOT_TEXT)),
        ("CN=#0101FF", Err(NOT_TEXT)),
        ("CN=#0500", Err(NOT_TEXT)),
        ("CN=#03020061", Err(NOT_TEXT)),
        ("CN=#3000", Err(NOT_TEXT)),
        ("CN=#04036F6374,CN=real", Err(NOT_TEXT)),
        ("CN=real,CN=#04036F6374", Err(NOT_TEXT)),
        ("CN=real,OU=#04036F6374", Err(NOT_TEXT)),
        // A string, which BoringSSL would not have dumped.
        ("CN=#0C0161", Err(NOT_TEXT)),
    ]);
}

#[test]
fn a_subject_that_boringssl_would_not_print_is_refused() {
    let texts = [
        "a",
        "=",
        "=a",
        "CN",
        "CN=a,",
        "CN=a+",
        ",CN=a",
        "+CN=a",
        "CN=a,,O=b",
        "CN=a,O",
        ",",
        "+",
        // Cut off, or as if.
        "CN=a\\",
        "CN=a\\,O=b\\",
        "CN=a\\C",
        "CN=\\",
        "CN=a,OU=",
        "CN=a,CN=",
        "CN=a,1.2.3=#0",
        "CN=a,1.2.3=#0C016",
        "CN=a,1.2.3=",
        "CN=a\\C,O=b",
        "CN=a\\3,O=b",
        // Escapes that nothing needs, and needs without an escape.
        "CN=\\a",
        "CN=a\\=b",
        "CN=a\\#b",
        "CN=a\\ b",
        "CN=\\61",
        "CN=\\2C",
        "CN=\\20a",
        "CN=\\5C",
        "CN=\\c3\\a9",
        "CN=\\0a",
        "CN=\\0d",
        "CN=\\GG",
        "CN=\\C3\\A",
        "CN=\\\u{e9}",
        "CN=\\0",
        "CN=a\"b",
        "CN=\"a\"",
        "CN=\"a,O=b\"",
        "CN=a;O=b",
        "CN=a<b",
        "CN=a>b",
        "CN= a",
        "CN=a ",
        "CN=a ,O=b",
        "CN=a, O=b",
        "CN=a,O= b",
        "CN =a",
        "CN= ",
        " CN=a",
        "CN=a,\nO=b",
        // Bytes that are always escaped.
        "CN=a\r\nX: y",
        "CN=a\0",
        "CN=a\tb",
        "CN=a\u{7f}",
        "CN=José",
        // Escapes that are no UTF-8.
        "CN=\\C3",
        "CN=\\FF",
        "CN=\\ED\\A0\\80",
        "CN=a,OU=\\FF",
        // Dumps.
        "CN=a,1.2.3=#0c0161",
        "CN=a,1.2.3=#0C 0161",
        "CN=a,1.2.3=#0G",
        "CN=#\\31",
        "CN=a,1.2.3=\\#0C0161",
        // Types.
        "2.5.4.3=#0C0161",
        "CN=a,2.5.4.10=#0C0161",
        "OID.2.5.4.3=a",
        "CN=a,1=#0C0161",
        "CN=a,1.=#0C0161",
        "CN=a,.1=#0C0161",
        "CN=a,1..2=#0C0161",
        "CN=a,01.2=#0C0161",
        "CN=a,1.2a=#0C0161",
        "CN=a,-x=y",
        "CN=a,/x=y",
        "CN=a,\\4F=y",
        "CN=a,1.18446744073709551617.3=#0C0161",
        "/CN=a/O=b",
    ];
    for text in texts {
        assert_eq!(parts(text.as_bytes()), Err(UNREADABLE), "{text:?}");
    }
}

#[test]
fn errors_are_whole_sentences_without_the_subject() {
    let errors = [
        (UNREADABLE, "the client certificate's subject cannot be read"),
        (NOT_TEXT, "the client certificate's subject has a value that is not a valid string"),
        (NO_NAME, "the client certificate's subject has no common name (CN)"),
        (NO_GROUP, "the client certificate's subject has an empty organization (O)"),
        (
            SubjectError::SeveralUids,
            "the client certificate's subject has more than one user ID (1.3.6.1.4.1.57683.2)",
        ),
        (
            SubjectError::ControlCharacter(Field::CommonName),
            "the client certificate's subject has a control character in its common name (CN)",
        ),
        (
            SubjectError::OuterBlank(Field::Organization),
            "the client certificate's subject has a space at the beginning or end of its organization (O)",
        ),
        (SubjectError::Digest, "the client certificate's SHA-256 digest cannot be read"),
        (
            SubjectError::NoHeader(Field::CommonName),
            "no header is configured for the client certificate's common name (CN)",
        ),
    ];
    for (error, words) in errors {
        assert_eq!(error.to_string(), words);
    }
}
