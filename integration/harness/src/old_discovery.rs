//! An Envoy that lets its clients discover types in the old form only: one
//! document for each group-version, in the encoding that the client asks for.
//!
//! ```text
//!   controller manager ──▶ this ──▶ Envoy under test, or a server
//!       Accept of /api and /apis: aggregated, …  becomes  application/json
//! ```
//!
//! It is what clients do that were built before aggregated discovery, or with it
//! turned off; no flag of a controller manager does that.

use anyhow::Result;

use crate::control_plane::ControlPlane;
use crate::envoy::{Envoy, EnvoyOptions};

/// A running one; dropping it ends it.
#[derive(Debug)]
pub struct OldDiscovery {
    envoy: Envoy,
    port: u16,
}

impl OldDiscovery {
    /// Starts it in front of what listens on `port` of loopback, with a
    /// certificate of `plane`. Fails if Envoy does not become ready.
    pub async fn start(plane: &ControlPlane, port: u16) -> Result<Self> {
        let files = plane.pki().server("old-discovery")?;
        let bootstrap = BOOTSTRAP
            .replace("CERTIFICATE", &files.certificate.display().to_string())
            .replace("PRIVATE_KEY", &files.key.display().to_string())
            .replace("AUTHORITY", &plane.pki().ca_file().display().to_string())
            .replace("PORT", &port.to_string());
        let folder = plane.folder().join(format!("old-discovery-{port}"));
        let envoy = Envoy::start(EnvoyOptions::new(bootstrap, folder)).await?;
        let port = envoy.listener_port("clients").await?;
        Ok(Self { envoy, port })
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the Envoy.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }
}

/// Watches have no end, so nothing here has a timeout.
const BOOTSTRAP: &str = r#"
admin:
  address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
static_resources:
  listeners:
  - name: clients
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: { filename: "CERTIFICATE" }
              private_key: { filename: "PRIVATE_KEY" }
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          stream_idle_timeout: 0s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { safe_regex: { regex: "/apis?" } }
                route: { cluster: target, timeout: 0s }
                request_headers_to_add:
                - header: { key: accept, value: application/json }
                  append_action: OVERWRITE_IF_EXISTS
              - match: { prefix: "/" }
                route: { cluster: target, timeout: 0s }
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: target
    load_assignment:
      cluster_name: target
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: { socket_address: { address: 127.0.0.1, port_value: PORT } }
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          alpn_protocols: [h2]
          validation_context: { trusted_ca: { filename: "AUTHORITY" } }
"#;
