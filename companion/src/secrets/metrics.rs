//! The metrics of the secrets that are published for Envoy.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use crate::metrics::{Registry, label_values, register, register_in};

/// The metrics of the secrets; clones share their values.
#[derive(Clone, Debug)]
pub struct SecretMetrics {
    errors: Family<ErrorLabels, Counter>,
    expiry: Family<CertificateLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    secret: SecretLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    certificate: SecretLabel,
}

label_values! {
    /// A secret that is published for Envoy.
    SecretLabel {
        /// The certificate that Envoy presents to its clients.
        Listener = "listener",
        /// The authorities that verify the clients' certificates.
        ClientCa = "client_ca",
        /// The front-proxy client certificate.
        FrontProxy = "front_proxy",
        /// The authorities that verify the peers' certificates.
        PeerCa = "peer_ca",
    }
}

impl SecretMetrics {
    /// Registers the metrics.
    pub fn new(registry: &mut Registry) -> Self {
        let r = registry;
        let errors = Family::default();
        Self {
            errors: register(r, "secret_errors", "Failed reads of a secret's files", errors),
            expiry: register_in(
                r,
                Unit::Seconds,
                "certificate_expiry_timestamp",
                "Time at which the published certificate expires, since 1970",
                Family::default(),
            ),
        }
    }

    /// Records that the files of a secret cannot be used.
    pub fn failed(&self, secret: SecretLabel) {
        self.errors.get_or_create(&ErrorLabels { secret }).inc();
    }

    /// Records when a certificate expires (seconds since 1970), if there is one.
    pub fn expires(&self, certificate: SecretLabel, at: Option<i64>) {
        let labels = CertificateLabels { certificate };
        match at {
            Some(at) => {
                self.expiry.get_or_create(&labels).set(at);
            }
            None => {
                self.expiry.remove(&labels);
            }
        }
    }
}
