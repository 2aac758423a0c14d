//! Secrets (SDS): certificates with their keys, and authorities.
//!
//! The listener's secrets have fixed names, because a handwritten configuration names them. Those
//! of the clusters are named after their content: a rotated certificate or authority changes the
//! cluster, and Envoy then drains the connections that were made with the old one. Envoy uses a
//! secret that changes in place for new connections only. Clusters that are fixed name theirs by
//! fixed names, so there it is like that.
//!
//! With many control planes, the name of each is before the names of its secrets.

use serde_json::{Value, json};

use super::message::type_url;
use crate::certificates::{Certificates, KeyPair};
use crate::config::ClusterPrefix;

/// The name of the certificate that Envoy presents to its clients.
pub const LISTENER: &str = "listener";

/// The name of the authorities that verify client certificates.
pub const CLIENT_CA: &str = "client-ca";

/// The name of the front-proxy client certificate in the file of an Envoy that reads its own, and
/// where the clusters are fixed.
pub const FRONT_PROXY: &str = "front-proxy";

/// The name of the authorities that verify the peers, where the clusters are fixed.
pub const PEER_CA: &str = "peer-ca";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    pub name: String,
    pub content: SecretContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretContent {
    KeyPair(KeyPair),
    /// Certificates that verify others. Without any, a listener requests no client certificate.
    Authorities(Option<Certificates>),
}

/// Returns the name of a secret of this one of many control planes, or of the only one.
pub fn of_control_plane(name: Option<&ClusterPrefix>, secret: &str) -> String {
    match name {
        Some(name) => format!("{name}/{secret}"),
        None => secret.to_owned(),
    }
}

/// Returns the name of the secret that verifies the peers of a control plane.
pub fn peer_ca_name(name: Option<&ClusterPrefix>, certificates: &Certificates) -> String {
    of_control_plane(name, &format!("peer-ca-{}", certificates.fingerprint()))
}

/// Returns the name of the secret with the front-proxy client certificate.
pub fn front_proxy_name(pair: &KeyPair) -> String {
    format!("front-proxy-{}", pair.certificates().fingerprint())
}

impl Secret {
    pub fn is_private(&self) -> bool {
        matches!(self.content, SecretContent::KeyPair(_))
    }

    /// Returns the resource in proto3 JSON.
    pub fn to_json(&self) -> Value {
        let text = |pem: &str| json!({ "inline_string": pem });
        let (kind, content) = match &self.content {
            SecretContent::KeyPair(pair) => {
                let certificates = text(pair.certificates().pem());
                let key = text(pair.key());
                let pair = json!({ "certificate_chain": certificates, "private_key": key });
                ("tls_certificate", pair)
            }
            SecretContent::Authorities(Some(certificates)) => {
                ("validation_context", json!({ "trusted_ca": text(certificates.pem()) }))
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
