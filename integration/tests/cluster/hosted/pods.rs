//! API servers as pods of a hosting cluster, as far as their EndpointSlices
//! tell: one slice for each, with an address and port of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Result;
use harness::control_plane::{ControlPlane, User};
use harness::namespace::pod_address;
use serde_json::{Value, json};
use wire::client::{Client, Http};

pub const NAMESPACE: &str = "hosted";
pub const SERVICE: &str = "kube-apiserver";

const NAMESPACES: &str = "/api/v1/namespaces";

/// A slice that never has an endpoint.
const EMPTY: &str = "empty";

/// The slices in the hosting cluster.
pub struct Pods {
    client: Client,
    last: u8,
    slices: BTreeMap<String, SocketAddr>,
}

impl Pods {
    /// Makes the namespace. Fails if the hosting cluster refuses.
    pub async fn create(hosting: &ControlPlane) -> Result<Self> {
        let client = hosting.client(&hosting.server(0)?.url(), User::Admin, Http::Two)?;
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        client.post(NAMESPACES, &namespace).await?.ok()?;
        Ok(Self { client, last: 9, slices: BTreeMap::new() })
    }

    /// Returns an address that no pod had before.
    pub fn new_address(&mut self, port: u16) -> SocketAddr {
        self.last += 1;
        SocketAddr::new(pod_address(self.last), port)
    }

    /// Adds the slice of a pod. Whether it is ready is not known yet, as with
    /// every pod that starts. Fails if the hosting cluster refuses.
    pub async fn add(&mut self, name: &str, address: SocketAddr) -> Result<()> {
        self.client.post(&path(""), &slice(name, address, true)).await?.ok()?;
        self.slices.insert(name.to_owned(), address);
        Ok(())
    }

    /// Adds a slice without endpoints beside the others. Fails if the hosting cluster refuses.
    pub async fn add_empty(&self) -> Result<()> {
        let address = SocketAddr::new(pod_address(1), 6443);
        self.client.post(&path(""), &slice(EMPTY, address, false)).await?.ok()?;
        Ok(())
    }

    /// Takes the endpoints from all slices at once, or gives them back. Fails if the hosting cluster
    /// refuses.
    pub async fn fill_all(&self, full: bool) -> Result<()> {
        let changes = self.slices.iter().map(async |(name, address)| {
            self.client.put(&path(&format!("/{name}")), &slice(name, *address, full)).await?.ok()
        });
        futures_util::future::try_join_all(changes).await?;
        Ok(())
    }

    /// Removes the slice of a pod. Fails if there is none.
    pub async fn remove(&mut self, name: &str) -> Result<()> {
        self.slices.remove(name);
        self.client.delete(&path(&format!("/{name}"))).await?.ok()?;
        Ok(())
    }
}

/// Returns a slice, `full` or without endpoints.
fn slice(name: &str, address: SocketAddr, full: bool) -> Value {
    let endpoint = json!({
        "addresses": [address.ip().to_string()],
        "conditions": { "ready": false },
        "targetRef": { "kind": "Pod", "namespace": NAMESPACE, "name": name },
    });
    json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": SERVICE } },
        "addressType": "IPv4",
        "ports": [{ "name": "https", "port": address.port() }],
        "endpoints": if full { vec![endpoint] } else { Vec::new() },
    })
}

fn path(rest: &str) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices{rest}")
}
