//! Who a client is, by its certificate, and whether it may be served.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::selection::Selection;
use crate::config::AllowedClient;
use crate::secrets::AdsSettings;

#[cfg(test)]
pub(super) mod tests;

/// A client with the certificate that it presented when it connected. Over a socket of this host, it
/// has none.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub names: Vec<String>,
    /// The certificate, and those that came with it.
    chain: Arc<Vec<CertificateDer<'static>>>,
}

/// Why a client may not be served.
#[derive(Debug, thiserror::Error)]
pub enum NotAllowed {
    #[error("the certificate has no allowed name")]
    Name,
    #[error("the certificate cannot be verified: {0}")]
    Certificate(#[from] rustls::Error),
    #[error("ads.clientCaFile: {0}")]
    Authorities(#[from] VerifierBuilderError),
}

impl Client {
    /// Returns the client with the first of these certificates.
    pub fn new(chain: Arc<Vec<CertificateDer<'static>>>) -> Self {
        let names = chain.first().map(|own| names(own)).unwrap_or_default();
        Self { names, chain }
    }

    /// Checks that it may be served at `now`, the time since 1970: its certificate is valid, and has an
    /// allowed name. The handshake proved the former for its own moment only.
    pub fn check(&self, settings: &AdsSettings, now: Duration) -> Result<(), NotAllowed> {
        match self.chain.split_first() {
            Some((own, others)) if self.has_allowed_name(settings) => {
                let now = UnixTime::since_unix_epoch(now);
                verifier(settings)?.verify_client_cert(own, others, now)?;
                Ok(())
            }
            _ => Err(NotAllowed::Name),
        }
    }

    /// Returns whether its certificate has an allowed name.
    pub fn has_allowed_name(&self, settings: &AdsSettings) -> bool {
        self.granted(settings).is_some()
    }

    /// Returns the control planes that it may have by its names. `None` if none of them is allowed.
    pub fn granted(&self, settings: &AdsSettings) -> Option<Selection> {
        let allowed = settings.server.allowed_clients.iter();
        let allowed = allowed.filter(|allowed| self.names.contains(&allowed.name));
        let one = |allowed: &AllowedClient| match &allowed.control_planes {
            None => Selection::All,
            Some(names) => Selection::Some(Arc::new(names.clone())),
        };
        allowed.map(one).reduce(|one, other| one.or(&other))
    }

    /// Returns the time from `now`, the time since 1970, until the next of its certificates expires.
    /// `None` if all have expired.
    pub fn next_expiry(&self, now: Duration) -> Option<Duration> {
        let last_second = |certificate| {
            let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
            u64::try_from(certificate.validity().not_after.timestamp()).ok()
        };
        let seconds = self.chain.iter().filter_map(|certificate| last_second(certificate));
        let ends = seconds.map(|last| Duration::from_secs(last.saturating_add(1)));
        ends.filter_map(|end| end.checked_sub(now)).filter(|left| !left.is_zero()).min()
    }
}

/// Returns what verifies the certificates of clients.
///
/// # Errors
/// None of the authorities can be used.
pub fn verifier(
    settings: &AdsSettings,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let (roots, provider) = (settings.client_ca.roots(), ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider)).build()
}

/// Returns the DNS names and URIs of a certificate. The common name is ignored, because it does not say
/// what kind of name it is.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}
