//! The metrics of the secrets that are published for Envoy.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use crate::metrics::{Label, Registry, add, add_with_unit};

#[derive(Clone, Debug)]
pub struct SecretMetrics {
    errors: Family<Label, Counter>,
    expiry: Family<Label, Gauge>,
}

/// A secret that is published for Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretLabel {
    Listener,
    ClientCa,
    FrontProxy,
    PeerCa,
    Ads,
    AdsClientCa,
}

impl SecretLabel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::ClientCa => "client_ca",
            Self::FrontProxy => "front_proxy",
            Self::PeerCa => "peer_ca",
            Self::Ads => "ads",
            Self::AdsClientCa => "ads_client_ca",
        }
    }
}

impl SecretMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let expiry = ("certificate_expiry_timestamp", Unit::Seconds);
        let help = "Time at which the published certificate expires, since 1970";
        Self {
            errors: add(r, "secret_errors", "Failed reads of a secret's files"),
            expiry: add_with_unit(r, expiry, help, Family::default()),
        }
    }

    pub fn failed(&self, secret: SecretLabel) {
        self.errors.get_or_create(&[("secret", secret.as_str())]).inc();
    }

    /// Records when a certificate expires (seconds since 1970), if there is one.
    pub fn expires(&self, certificate: SecretLabel, at: Option<i64>) {
        let label = [("certificate", certificate.as_str())];
        if let Some(at) = at {
            self.expiry.get_or_create(&label).set(at);
        } else {
            self.expiry.remove(&label);
        }
    }
}
