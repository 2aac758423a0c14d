//! Client certificates as a verifier sees them: any subject, and the refusal of
//! invalid ones.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;

use super::*;
use crate::tls;

/// Returns whether a server that trusts `authority` accepts the certificate.
fn verify(authority: &Pki, files: &CertificateFiles) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider()).build();
    let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
    verifier.unwrap().verify_client_cert(&certificate, &[], UnixTime::now()).map(drop)
}

#[test]
fn a_client_certificate_holds_any_subject() {
    let folder = TempDir::new().unwrap();
    let pki = Pki::create(folder.path()).unwrap();
    let long = "x".repeat(200);
    let subjects = [
        Subject::empty(),
        Subject::user("", &[]),
        Subject::user("admin", &["a", "b, c", "d+e", "\"f\"", "José"]),
        Subject::user(&long, &[]),
        Subject::empty().with(Attribute::common_name(*b"a\r\nX-Remote-User: b\0")),
        Subject::empty().with(Attribute::common_name([0xff]).encoded_as(StringType::T61)),
        Subject::empty().with(Attribute::common_name([0, b'a']).encoded_as(StringType::Bmp)),
        Subject::user("a", &[]).with(Attribute::new(oid::KUBERNETES_UID, "1")),
        Subject::empty()
            .with_multi_valued(vec![Attribute::organization("a"), Attribute::common_name("b")]),
    ];
    for subject in subjects {
        let files = pki.client_with("user", &ClientCertificate::new(subject.clone())).unwrap();
        verify(&pki, &files).unwrap_or_else(|error| panic!("{subject:?}: {error}"));
        let certificate = CertificateDer::from_pem_file(&files.certificate).unwrap();
        let name = subject.der();
        assert!(certificate.windows(name.len()).any(|window| window == name), "{subject:?}");
        // The key is the certificate's.
        tls::client(&pki.ca_pem(), Some(&files), &[]).unwrap();
        assert_eq!(files.certificate_sha256().unwrap().len(), 64);
    }
}

#[test]
fn invalid_client_certificates_are_refused() {
    let folder = TempDir::new().unwrap();
    let pki = Pki::create(folder.path().join("right")).unwrap();
    let other = Pki::create(folder.path().join("wrong")).unwrap();
    let valid = ClientCertificate::new(Subject::user("admin", &[]));
    let with = |validity| ClientCertificate { validity, ..valid.clone() };
    let signed = |certificate| pki.client_with("user", &certificate).unwrap();

    verify(&pki, &signed(with(Validity::until(SystemTime::now() + YEARS)))).unwrap();
    verify(&pki, &signed(with(Validity::past()))).unwrap_err();
    verify(&pki, &signed(with(Validity::future()))).unwrap_err();
    verify(&pki, &pki.self_signed_client("user", &valid).unwrap()).unwrap_err();
    verify(&pki, &other.client_with("user", &valid).unwrap()).unwrap_err();

    let with =
        |purposes: &[Purpose]| ClientCertificate { purposes: purposes.into(), ..valid.clone() };
    verify(&pki, &signed(with(&[]))).unwrap();
    verify(&pki, &signed(with(&[Purpose::Server, Purpose::Client]))).unwrap();
    verify(&pki, &signed(with(&[Purpose::Server]))).unwrap_err();
}

/// Beyond the time that UTCTime can tell.
const YEARS: std::time::Duration = std::time::Duration::from_secs(50 * 365 * 24 * 3600);
