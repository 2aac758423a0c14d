//! What is read from certificate and key files, and what is refused.

use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair as Key};

use super::{Certificates, FileError, KeyPair, KeyPairFiles};

/// Returns a self-signed certificate for this key.
fn certificate(key: &Key) -> String {
    CertificateParams::new(vec!["x".to_owned()]).unwrap().self_signed(key).unwrap().pem()
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn pair(&self, certificate: &str, key: &str) -> Result<KeyPair, FileError> {
        std::fs::write(self.path("crt"), certificate).unwrap();
        std::fs::write(self.path("key"), key).unwrap();
        KeyPair::read(&KeyPairFiles {
            certificate_file: self.path("crt"),
            key_file: self.path("key"),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn a_key_and_a_certificate_that_do_not_match_are_not_a_pair() {
    let files = Files::new();
    let (one, other) = (Key::generate().unwrap(), Key::generate().unwrap());
    let pair = files.pair(&certificate(&one), &one.serialize_pem()).unwrap();
    assert_eq!(pair.certificates().fingerprint().len(), 16);
    let error = files.pair(&certificate(&one), &other.serialize_pem()).unwrap_err();
    assert_eq!(error.file, files.path("key"));
    assert!(error.problem.starts_with("is not the key of"), "{error}");
}

#[test]
fn an_authority_recognizes_what_it_signed() {
    use rcgen::{BasicConstraints, CertifiedIssuer, IsCa};
    let authority = || {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, Key::generate().unwrap()).unwrap()
    };
    let (one, other) = (authority(), authority());
    let key = Key::generate().unwrap();
    let leaf = CertificateParams::new(vec!["x".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &one).unwrap();
    let files = Files::new();
    let pair = files.pair(&leaf.pem(), &key.serialize_pem()).unwrap();
    let bundle = |pem: String| {
        std::fs::write(files.path("ca"), pem).unwrap();
        Certificates::read(&files.path("ca")).unwrap()
    };
    assert!(bundle([other.pem(), one.pem()].concat()).signed(pair.certificates()));
    assert!(!bundle(other.pem()).signed(pair.certificates()));
}

#[test]
fn a_truncated_file_and_an_empty_one_are_errors() {
    let files = Files::new();
    let key = Key::generate().unwrap();
    let (crt, key) = (certificate(&key), key.serialize_pem());
    let half = |text: &str| text[..text.len() / 2].to_owned();
    for (crt, key) in [(half(&crt), key.clone()), (crt, half(&key)), (String::new(), key.clone())] {
        assert!(files.pair(&crt, &key).is_err(), "{crt}{key}");
    }
    let broken = format!(
        "{}{}",
        certificate(&Key::generate().unwrap()),
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    );
    std::fs::write(files.path("ca"), broken).unwrap();
    let error = Certificates::read(&files.path("ca")).unwrap_err();
    assert!(error.problem.contains("certificate 2"), "{error}");
}

#[test]
fn a_key_in_the_certificate_file_is_dropped() {
    let files = Files::new();
    let key = Key::generate().unwrap();
    let (crt, key) = (certificate(&key), key.serialize_pem());
    let both = format!("# a comment\n{crt}{key}");
    let pair = files.pair(&both, &both).unwrap();
    assert_eq!(pair.certificates().pem(), crt);
    assert_eq!(pair.key(), key);
    assert!(!format!("{pair:?}").contains("PRIVATE"));
}

#[test]
fn debug_output_shows_no_key_and_no_certificate() {
    let key = Key::generate().unwrap();
    let (crt, key) = (certificate(&key), key.serialize_pem());
    let pair = Files::new().pair(&crt, &key).unwrap();
    let shown = format!("{pair:?} {:?}", pair.certificates());
    let body = |line: &&str| !line.is_empty() && !line.starts_with('-');
    for line in key.lines().chain(crt.lines()).filter(body) {
        assert!(!shown.contains(line), "{shown}");
    }
    assert!(shown.contains(&pair.certificates().fingerprint()), "{shown}");
}
