//! Secrets (SDS): certificates with their keys, and authorities.
//!
//! The listener's secrets have fixed names, because a handwritten configuration names them. Those of
//! the clusters are named after their content: a rotated certificate or authority changes the
//! cluster, and Envoy then drains the connections that were made with the old one. Envoy uses a
//! secret that changes in place for new connections only.

use std::fmt;

use serde_json::{Value, json};

use super::message::type_url;
use crate::certificates::{Certificates, KeyPair};

/// The name of the certificate that Envoy presents to its clients.
pub const LISTENER: &str = "listener";

/// The name of the authorities that verify client certificates.
pub const CLIENT_CA: &str = "client-ca";

/// A secret. Its `Debug` output has the name only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The name that listeners and clusters use.
    pub name: String,
    /// What is kept under the name.
    pub content: SecretContent,
}

/// The content of a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretContent {
    /// Certificates and their private key (PEM).
    KeyPair {
        /// The certificate and its intermediates.
        certificates: String,
        /// The private key.
        key: String,
    },
    /// Certificates (PEM) that verify others. Without any, a listener requests no client
    /// certificate.
    Authorities(Option<String>),
}

/// Returns the name of the secret that verifies the peers.
#[must_use]
pub fn peer_ca_name(certificates: &Certificates) -> String {
    format!("peer-ca-{}", certificates.fingerprint())
}

/// Returns the name of the secret with the front-proxy client certificate.
#[must_use]
pub fn front_proxy_name(pair: &KeyPair) -> String {
    format!("front-proxy-{}", pair.certificates().fingerprint())
}

impl Secret {
    /// Returns a secret with a certificate and its key.
    #[must_use]
    pub fn key_pair(name: impl Into<String>, pair: &KeyPair) -> Self {
        let certificates = pair.certificates().pem().to_owned();
        let content = SecretContent::KeyPair { certificates, key: pair.key().to_owned() };
        Self { name: name.into(), content }
    }

    /// Returns a secret that verifies others.
    #[must_use]
    pub fn authorities(name: impl Into<String>, certificates: Option<&Certificates>) -> Self {
        let pem = certificates.map(|certificates| certificates.pem().to_owned());
        Self { name: name.into(), content: SecretContent::Authorities(pem) }
    }

    /// Returns whether the secret holds a private key.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self.content, SecretContent::KeyPair { .. })
    }

    /// Returns the resource in proto3 JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (kind, content) = match &self.content {
            SecretContent::KeyPair { certificates, key } => {
                let content = json!({
                    "certificate_chain": { "inline_string": certificates },
                    "private_key": { "inline_string": key },
                });
                ("tls_certificate", content)
            }
            SecretContent::Authorities(Some(certificates)) => {
                let content = json!({ "trusted_ca": { "inline_string": certificates } });
                ("validation_context", content)
            }
            SecretContent::Authorities(None) => ("validation_context", json!({})),
        };
        json!({
            "@type": type_url("envoy.extensions.transport_sockets.tls.v3.Secret"),
            "name": self.name,
            kind: content,
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}
