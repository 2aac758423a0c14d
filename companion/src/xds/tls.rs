//! TLS as Envoy is told it: the secrets (SDS), and who uses which.
//!
//! The listener's secrets have fixed names, for a configuration that is written
//! by hand names them. The clusters' are called after their content: a rotated
//! certificate or authority makes a cluster another one, and Envoy then drains
//! the connections that were made with the old one. A secret that changes in
//! place is used for new connections only.

use std::path::Path;

use serde_json::{Value, json};

use super::TYPES;
use crate::certificates::{Certificates, KeyPair};
use crate::config::ServerName;

/// The certificate that Envoy shows its clients.
pub const LISTENER: &str = "listener";

/// The certificates that verify the clients' own.
pub const CLIENT_CA: &str = "client-ca";

/// How a cluster's connections are secured.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamTls<'a> {
    /// The name in the peers' certificates.
    pub server_name: &'a ServerName,
    /// The directory of the secrets' files.
    pub secrets: &'a Path,
    /// The secret that verifies the peers.
    pub peer_ca: &'a str,
    /// The secret to present; none: no certificate.
    pub present: Option<&'a str>,
}

/// The name of the secret that verifies the peers.
#[must_use]
pub fn peer_ca_name(certificates: &Certificates) -> String {
    format!("peer-ca-{}", certificates.fingerprint())
}

/// The name of the secret with the front-proxy client certificate.
#[must_use]
pub fn front_proxy_name(pair: &KeyPair) -> String {
    format!("front-proxy-{}", pair.certificates().fingerprint())
}

/// A secret with a certificate and its key (PEM).
#[must_use]
pub fn key_pair(name: &str, certificates: &str, key: &str) -> Value {
    let content = json!({
        "certificate_chain": { "inline_string": certificates },
        "private_key": { "inline_string": key },
    });
    secret(name, "tls_certificate", &content)
}

/// A secret that verifies others by these certificates (PEM). Without any, a
/// listener asks nobody for a certificate.
#[must_use]
pub fn authorities(name: &str, certificates: Option<&str>) -> Value {
    let content = match certificates {
        Some(certificates) => json!({ "trusted_ca": { "inline_string": certificates } }),
        None => json!({}),
    };
    secret(name, "validation_context", &content)
}

fn secret(name: &str, kind: &str, content: &Value) -> Value {
    json!({
        "@type": format!("{TYPES}/envoy.extensions.transport_sockets.tls.v3.Secret"),
        "name": name,
        kind: content,
    })
}

/// The name of a secret's file in the directory of the secrets.
#[must_use]
pub fn secret_file(name: &str) -> String {
    format!("{name}.json")
}

impl UpstreamTls<'_> {
    pub(super) fn transport_socket(&self) -> Value {
        let name = self.server_name.as_str();
        let mut common = json!({
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [
                        { "san_type": "DNS", "matcher": { "exact": name } },
                    ],
                },
                "validation_context_sds_secret_config": self.source(self.peer_ca),
            },
        });
        if let (Some(present), Some(common)) = (self.present, common.as_object_mut()) {
            let sources = json!([self.source(present)]);
            common.insert("tls_certificate_sds_secret_configs".to_owned(), sources);
        }
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": format!("{TYPES}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
                "sni": name,
                "common_tls_context": common,
            },
        })
    }

    fn source(&self, secret: &str) -> Value {
        json!({
            "name": secret,
            "sds_config": {
                "path_config_source": { "path": self.secrets.join(secret_file(secret)) },
                "resource_api_version": "V3",
            },
        })
    }
}
