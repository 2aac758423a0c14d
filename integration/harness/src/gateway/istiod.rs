//! A real istiod on a real control plane, and the bootstrap of an Envoy that is a gateway of it.
//!
//! Its ports are fixed, so a test of it has a network namespace of its own
//! ([`crate::namespace`]). What its agent does in a pod is not there: Envoy asks istiod itself,
//! without TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use wire::client::Client;

use crate::artifacts::Artifact;
use crate::envoy::EnvoyOptions;
use crate::process::{Process, Program};

const NAMESPACE: &str = "istio-system";

/// Where it says whether it is ready, and where Envoys ask it.
const HTTP_PORT: u16 = 8080;
const XDS_PORT: u16 = 15010;

const DEADLINE: Duration = Duration::from_secs(120);

/// A running istiod; dropping it ends it.
#[derive(Debug)]
pub struct Istiod {
    process: Process,
    folder: PathBuf,
}

impl Istiod {
    /// Returns the file with the definitions of its resources. Fails if it was not built.
    pub fn definitions() -> Result<PathBuf> {
        Ok(Artifact::Istiod.path()?.with_file_name("definitions.yaml"))
    }

    /// Starts it, and waits until it is ready. The definitions must be there. Fails if it does not
    /// become ready.
    pub async fn start(admin: &Client, kubeconfig: &Path, folder: &Path) -> Result<Self> {
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        admin.post("/api/v1/namespaces", &namespace).await?.ok()?;
        fs::create_dir_all(folder)?;
        let mesh = folder.join("mesh.yaml");
        fs::write(&mesh, "{}")?;
        let mut process =
            Program::new("istiod", Artifact::Istiod.path()?, folder.join("istiod.log"))
                .current_dir(folder)
                .args(["discovery", "--registries=Kubernetes", "--httpsAddr="])
                .arg(format!("--kubeconfig={}", kubeconfig.display()))
                .arg(format!("--meshConfig={}", mesh.display()))
                .env("POD_NAMESPACE", NAMESPACE)
                .env("INJECT_ENABLED", "false")
                .spawn()?;
        process.until_ok(&Client::plain(HTTP_PORT)?, "/ready", DEADLINE).await?;
        Ok(Self { process, folder: folder.to_owned() })
    }

    /// Returns the process, to stop it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns an Envoy that is a gateway in this namespace, with this label `app`.
    pub fn envoy(&self, namespace: &str, app: &str) -> EnvoyOptions {
        let ads = json!({ "ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3" });
        let address = json!({ "address": "127.0.0.1", "port_value": XDS_PORT });
        let endpoint = json!({ "endpoint": { "address": { "socket_address": address } } });
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let bootstrap = json!({
            "node": {
                "id": format!("router~127.0.0.1~{app}-0.{namespace}~{namespace}.svc.cluster.local"),
                "cluster": app,
                "metadata": {
                    "NAMESPACE": namespace,
                    "LABELS": { "app": app },
                    "CLUSTER_ID": "Kubernetes",
                    "ISTIO_VERSION": "1.31.0",
                    "INSTANCE_IPS": "127.0.0.1",
                },
            },
            "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } } },
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{ "envoy_grpc": { "cluster_name": "xds-grpc" } }],
                },
                "lds_config": ads,
                "cds_config": ads,
            },
            "static_resources": { "clusters": [{
                "name": "xds-grpc",
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": {
                    "cluster_name": "xds-grpc",
                    "endpoints": [{ "lb_endpoints": [endpoint] }],
                },
                "typed_extension_protocol_options": { options: {
                    "@type": format!("type.googleapis.com/{options}"),
                    "explicit_http_config": { "http2_protocol_options": {} },
                } },
            }] },
        });
        EnvoyOptions::new(bootstrap.to_string(), self.folder.join("envoy"))
    }
}
