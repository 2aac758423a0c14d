//! API servers as pods of a hosting cluster, as far as their EndpointSlices
//! tell: one slice for each, with an address and port of its own.

use std::net::SocketAddr;

use anyhow::Result;
use harness::control_plane::{ControlPlane, User};
use harness::namespace::pod_address;
use serde_json::json;
use wire::client::{Client, Http};

pub const NAMESPACE: &str = "hosted";
pub const SERVICE: &str = "kube-apiserver";

const NAMESPACES: &str = "/api/v1/namespaces";

/// The slices in the hosting cluster.
pub struct Pods {
    client: Client,
    last: u8,
}

impl Pods {
    /// Makes the namespace. Fails if the hosting cluster refuses.
    pub async fn create(hosting: &ControlPlane) -> Result<Self> {
        let client = hosting.client(&hosting.server(0)?.url(), User::Admin, Http::Two)?;
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        client.post(NAMESPACES, &namespace).await?.ok()?;
        Ok(Self { client, last: 9 })
    }

    /// Returns an address that no pod had before.
    pub fn new_address(&mut self, port: u16) -> SocketAddr {
        self.last += 1;
        SocketAddr::new(pod_address(self.last), port)
    }

    /// Adds the slice of a pod. Whether it is ready is not known yet, as with
    /// every pod that starts. Fails if the hosting cluster refuses.
    pub async fn add(&self, name: &str, address: SocketAddr) -> Result<()> {
        let slice = json!({
            "metadata": {
                "name": name,
                "labels": { "kubernetes.io/service-name": SERVICE },
            },
            "addressType": "IPv4",
            "ports": [{ "name": "https", "port": address.port() }],
            "endpoints": [{
                "addresses": [address.ip().to_string()],
                "conditions": { "ready": false },
                "targetRef": { "kind": "Pod", "namespace": NAMESPACE, "name": name },
            }],
        });
        self.client.post(&path(""), &slice).await?.ok()?;
        Ok(())
    }

    /// Removes the slice of a pod. Fails if there is none.
    pub async fn remove(&self, name: &str) -> Result<()> {
        self.client.delete(&path(&format!("/{name}"))).await?.ok()?;
        Ok(())
    }
}

fn path(rest: &str) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices{rest}")
}
