//! Certificates of clients, and when they are valid.

use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, SanType, date_time_ymd};
use rcgen::{DistinguishedName, DnType, KeyPair as Key};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::certificates::KeyPairFiles;
use crate::clock::since_1970;
use crate::config::AdsServer;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// An authority of clients.
pub(in crate::ads) struct Authority(CertifiedIssuer<'static, Key>);

impl Authority {
    pub(in crate::ads) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, Key::generate().unwrap()).unwrap())
    }

    /// Returns a client with this name, whose certificate expires at this time since 1970.
    pub(in crate::ads) fn client(&self, name: &str, expiry: Option<Duration>) -> Client {
        Client::new(Arc::new(vec![self.certificate(named(name), expiry)]))
    }

    /// Returns what a client with this name makes connections with.
    pub(in crate::ads) fn connector(&self, name: &str) -> Arc<ClientConfig> {
        let key = Key::generate().unwrap();
        let certificate = named(name).signed_by(&key, &self.0).unwrap().der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key);
        Arc::new(config.unwrap())
    }

    fn certificate(
        &self,
        mut params: CertificateParams,
        expiry: Option<Duration>,
    ) -> CertificateDer<'static> {
        if let Some(expiry) = expiry {
            params.not_after = date_time_ymd(1970, 1, 1) + expiry;
        }
        params.signed_by(&Key::generate().unwrap(), &self.0).unwrap().der().clone()
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// Returns settings with these authorities and allowed names.
pub(in crate::ads) fn settings(authorities: &[&Authority], names: &[&str]) -> AdsSettings {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let pem: String = authorities.iter().map(|authority| authority.0.pem()).collect();
    let key = Key::generate().unwrap();
    let own = named("companion").signed_by(&key, &authorities[0].0).unwrap();
    std::fs::write(file("ca"), pem).unwrap();
    std::fs::write(file("crt"), own.pem()).unwrap();
    std::fs::write(file("key"), key.serialize_pem()).unwrap();
    let server = AdsServer {
        listen: ([127, 0, 0, 1], 0).into(),
        pair: KeyPairFiles { certificate_file: file("crt"), key_file: file("key") },
        client_ca_file: file("ca"),
        allowed_clients: names.iter().map(|&name| allowed(name, None)).collect(),
        max_clients: 10,
    };
    AdsSettings::read(&server).unwrap()
}

/// Returns who may have these control planes, or all.
pub(in crate::ads) fn allowed(name: &str, control_planes: Option<&[&str]>) -> AllowedClient {
    let names = control_planes.map(|names| names.iter().map(|name| name.parse().unwrap()));
    AllowedClient { name: name.to_owned(), control_planes: names.map(Iterator::collect) }
}

#[test]
fn a_client_may_have_what_any_of_its_names_may_have() {
    let authority = Authority::new();
    let mut settings = settings(&[&authority], &[]);
    settings.server.allowed_clients = vec![
        allowed("all", None),
        allowed("one", Some(&["a", "b"])),
        allowed("other", Some(&["b", "c"])),
    ];
    let granted = |names: &[&str]| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let granted = Client { names, ..Client::default() }.granted(&settings)?;
        let names = granted.names().map(ToString::to_string).collect::<Vec<_>>().concat();
        Some((granted == Selection::All, names))
    };
    assert_eq!(granted(&["nobody"]), None);
    assert_eq!(granted(&["nobody", "one"]), Some((false, "ab".to_owned())));
    assert_eq!(granted(&["one", "other"]), Some((false, "abc".to_owned())));
    assert_eq!(granted(&["one", "all"]), Some((true, String::new())));
}

#[test]
fn a_client_needs_an_allowed_name_and_a_certificate_of_an_authority() {
    let (one, other) = (Authority::new(), Authority::new());
    let settings = settings(&[&one], &["envoy", "spiffe://fleet/envoy"]);
    let now = since_1970();
    let problem = |client: &Client| client.check(&settings, now).map_err(|e| e.to_string()).err();
    assert_eq!(problem(&one.client("envoy", None)), None);
    let uri = SanType::URI(Ia5String::try_from("spiffe://fleet/envoy").unwrap());
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(uri);
    assert_eq!(problem(&Client::new(Arc::new(vec![one.certificate(params, None)]))), None);

    let no_name = Some("the certificate has no allowed name".to_owned());
    assert_eq!(problem(&one.client("another", None)), no_name);
    assert_eq!(problem(&one.client("envoy.example.com", None)), no_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "envoy");
    let common = Client::new(Arc::new(vec![one.certificate(params, None)]));
    assert_eq!(problem(&common), no_name, "a common name is ignored");
    assert_eq!(problem(&Client::default()), no_name);
    // Only the first certificate is proved to be the client's own.
    let (own, others) =
        (other.certificate(named("x"), None), one.certificate(named("envoy"), None));
    assert_eq!(problem(&Client::new(Arc::new(vec![own, others]))), no_name);
    let forged = problem(&other.client("envoy", None)).unwrap();
    assert!(forged.starts_with("the certificate cannot be verified"), "{forged}");
}

#[test]
fn a_certificate_counts_until_it_expires() {
    let authority = Authority::new();
    let settings = settings(&[&authority], &["envoy"]);
    let second = Duration::from_secs(1);
    let now = Duration::from_secs(since_1970().as_secs());
    let client = authority.client("envoy", Some(now + HOUR));
    assert_eq!(client.next_expiry(now), Some(HOUR + second));
    assert!(client.check(&settings, now + HOUR).is_ok(), "the last second counts");
    let expired = client.check(&settings, now + HOUR + second).unwrap_err().to_string();
    assert!(expired.contains("expired"), "{expired}");
    assert_eq!(client.next_expiry(now + HOUR + second), None);

    // Of several certificates, each is looked at when it expires.
    let two = [2, 1].map(|hours| authority.certificate(named("envoy"), Some(now + hours * HOUR)));
    let two = Client::new(Arc::new(two.to_vec()));
    assert_eq!(two.next_expiry(now), Some(HOUR + second));
    assert_eq!(two.next_expiry(now + HOUR + second), Some(HOUR));
    assert_eq!(Client::default().next_expiry(now), None);
}
