//! Client certificates that are not what a well-meaning authority issues, and
//! who they make a client.

use anyhow::Result;
use pki::{
    Attribute, CertificateFiles, ClientCertificate, Pki, Purpose, StringType, Subject, Validity,
    oid,
};

/// The expected treatment of a client with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The connection is refused.
    NoConnection,
    /// Every request is answered 401.
    Unauthorized,
    /// The client is this user, in these groups.
    User(&'static str, &'static [&'static str]),
}

use Expected::{NoConnection, Unauthorized, User};

/// A name of 200 bytes.
const LONG: &str = concat!(
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
);

/// Returns a certificate of each kind, signed by `pki` where it is to be
/// verified. Fails if one cannot be written.
pub fn all(pki: &Pki, other: &Pki) -> Result<Vec<(&'static str, CertificateFiles, Expected)>> {
    let mut all = Vec::new();
    for (at, (name, subject, expected)) in subjects().into_iter().enumerate() {
        let file = format!("hostile-{at}");
        all.push((name, pki.client_with(&file, &ClientCertificate::new(subject))?, expected));
    }
    let admin = ClientCertificate::new(Subject::user("admin", &["system:masters"]));
    let with = |validity| ClientCertificate { validity, ..admin.clone() };
    all.push(("expired", pki.client_with("expired", &with(Validity::past()))?, NoConnection));
    all.push(("not yet valid", pki.client_with("early", &with(Validity::future()))?, NoConnection));
    all.push(("self-signed", pki.self_signed_client("self-signed", &admin)?, NoConnection));
    all.push(("of another authority", other.client_with("other", &admin)?, NoConnection));
    // The peers' authority, by its name, but not by its key.
    let twin = Pki::create(pki.folder().join("twin"))?;
    all.push(("of an authority of the same name", twin.client_with("twin", &admin)?, NoConnection));
    // As kubelets have them for their own port, of the users' authority.
    let node = ClientCertificate::new(Subject::user("system:node:n", &["system:nodes"]));
    for (at, (name, purposes, expected)) in purposes().into_iter().enumerate() {
        let certificate = ClientCertificate { purposes, ..node.clone() };
        all.push((name, pki.client_with(&format!("purposes-{at}"), &certificate)?, expected));
    }
    Ok(all)
}

fn purposes() -> Vec<(&'static str, Vec<Purpose>, Expected)> {
    let node = User("system:node:n", &["system:nodes"]);
    vec![
        ("for servers only", vec![Purpose::Server], NoConnection),
        ("for servers and clients", vec![Purpose::Server, Purpose::Client], node),
        ("for nothing that it says", vec![], node),
        // Go, and so kube-apiserver, accepts it; BoringSSL does not.
        ("for every purpose", vec![Purpose::Any], NoConnection),
        ("for servers and every purpose", vec![Purpose::Server, Purpose::Any], NoConnection),
    ]
}

fn subjects() -> Vec<(&'static str, Subject, Expected)> {
    let cn = |value: &'static [u8]| Subject::empty().with(Attribute::common_name(value));
    let o = |value: &'static [u8]| Attribute::organization(value);
    vec![
        ("an ordinary one", Subject::user("jane", &["dev", "qa"]), User("jane", &["dev", "qa"])),
        ("CR and LF in the CN", cn(b"a\r\nX-Remote-Group: system:masters"), Unauthorized),
        ("LF in the CN", cn(b"a\nX-Remote-Group: system:masters"), Unauthorized),
        ("CR in the CN", cn(b"a\rb"), Unauthorized),
        ("NUL in the CN", cn(b"admin\0.example.com"), Unauthorized),
        ("NUL at the end of the CN", cn(b"admin\0"), Unauthorized),
        ("a tab in the CN", cn(b"a\tb"), Unauthorized),
        ("DEL in the CN", cn(b"a\x7fb"), Unauthorized),
        ("LF in an O", Subject::user("a", &["x\nX-Remote-User: admin"]), Unauthorized),
        ("NUL in an O", Subject::user("a", &["system:masters\0x"]), Unauthorized),
        ("an empty CN", cn(b""), Unauthorized),
        ("an empty O", Subject::user("a", &[""]), Unauthorized),
        ("no CN", Subject::empty().with(o(b"system:masters")), Unauthorized),
        ("no subject", Subject::empty(), Unauthorized),
        ("a blank CN", cn(b" "), Unauthorized),
        ("a leading blank", cn(b" admin"), Unauthorized),
        ("a trailing blank", cn(b"admin "), Unauthorized),
        ("two CNs", cn(b"admin").with(Attribute::common_name("jane")), User("jane", &[])),
        ("two CNs, the last empty", cn(b"admin").with(Attribute::common_name("")), Unauthorized),
        (
            "a multi-valued RDN",
            Subject::empty().with_multi_valued(vec![o(b"dev"), Attribute::common_name("jane")]),
            User("jane", &["dev"]),
        ),
        (
            "two CNs in one RDN",
            Subject::empty().with_multi_valued(vec![
                Attribute::common_name("admin"),
                Attribute::common_name("jane"),
            ]),
            User("jane", &[]),
        ),
        (
            "attributes written out in the CN",
            cn(b"jane,O=system:masters+CN=admin"),
            User("jane,O=system:masters+CN=admin", &[]),
        ),
        ("escapes in the CN", cn(b"\\,O=a\\\\\"<>;#=+"), User("\\,O=a\\\\\"<>;#=+", &[])),
        ("a CN that begins with #", cn(b"#0c0561646d696e"), User("#0c0561646d696e", &[])),
        ("hexadecimal escapes in the CN", cn(b"\\61dmin"), User("\\61dmin", &[])),
        ("a header in an O", Subject::user("a", &["b, c: d"]), User("a", &["b, c: d"])),
        ("beyond ASCII", Subject::user("José ✓", &["Ünï"]), User("José ✓", &["Ünï"])),
        ("a CN of 200 bytes", Subject::user(LONG, &[]), User(LONG, &[])),
        (
            "a CN that is not a string",
            Subject::empty()
                .with(Attribute::common_name("admin").encoded_as(StringType::Tag(0x04))),
            Unauthorized,
        ),
        (
            "an OU and an O",
            Subject::user("jane", &[])
                .with(Attribute::new(oid::ORGANIZATIONAL_UNIT, "system:masters,O=system:masters")),
            User("jane", &[]),
        ),
        (
            "two user IDs",
            Subject::user("jane", &[])
                .with(Attribute::new(oid::KUBERNETES_UID, "1"))
                .with(Attribute::new(oid::KUBERNETES_UID, "2")),
            Unauthorized,
        ),
        (
            "a user ID with LF",
            Subject::user("jane", &[])
                .with(Attribute::new(oid::KUBERNETES_UID, "1\nX-Remote-User: admin")),
            Unauthorized,
        ),
    ]
}
