//! What Envoy's admin says of its clusters and their hosts (`/clusters`,
//! `envoy.admin.v3.Clusters`).

use anyhow::{Context, Result};
use serde_json::Value;
use wire::client::Client;

/// The cluster of what every server can answer.
pub const DEFAULT: &str = "kube-apiserver";

/// Its twin, for clients whose certificate Envoy verified.
pub const DEFAULT_TWIN: &str = "kube-apiserver__front-proxy";

/// All clusters at one moment.
#[derive(Debug)]
pub struct Clusters(Value);

/// One cluster.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'v>(&'v Value);

/// One host of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Host<'v>(&'v Value);

impl Clusters {
    /// Asks Envoy's admin. Fails if it does not answer.
    pub async fn read(admin: &Client) -> Result<Self> {
        let answer = admin.get("/clusters?format=json").await?.ok();
        Ok(Self(answer.context("/clusters of Envoy's admin")?.json()?))
    }

    /// Returns every cluster.
    pub fn iter(&self) -> impl Iterator<Item = Cluster<'_>> {
        list(&self.0, "cluster_statuses").map(Cluster)
    }

    /// Returns the cluster of this name. Fails if there is none.
    pub fn named(&self, name: &str) -> Result<Cluster<'_>> {
        let mut clusters = self.iter();
        let cluster = clusters.find(|cluster| cluster.name() == name);
        cluster.with_context(|| format!("Envoy has no cluster {name}"))
    }
}

impl<'v> Cluster<'v> {
    /// Returns its name.
    pub fn name(self) -> &'v str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns its hosts.
    pub fn hosts(self) -> impl Iterator<Item = Host<'v>> {
        list(self.0, "host_statuses").map(Host)
    }
}

impl Host<'_> {
    /// Returns its port. `None` if its address has none.
    pub fn port(self) -> Option<u16> {
        let port = self.0.pointer("/address/socket_address/port_value")?.as_u64()?;
        u16::try_from(port).ok()
    }

    /// Returns whether Envoy asks it before the hosts of all other levels: its priority is 0, the
    /// default.
    pub fn is_first(self) -> bool {
        self.0.get("priority").is_none_or(|priority| priority == 0)
    }

    /// Returns whether outlier detection has ejected it.
    pub fn is_ejected(self) -> bool {
        self.0.pointer("/health_status/failed_outlier_check").is_some_and(|ejected| ejected == true)
    }

    /// Returns its counter or gauge of this name, such as `rq_total`; 0 if it has none.
    pub fn stat(self, name: &str) -> u64 {
        let mut stats = list(self.0, "stats");
        let stat = stats.find(|stat| stat.get("name").is_some_and(|own| own == name));
        // Envoy writes 64-bit numbers as strings.
        let value = stat.and_then(|stat| stat.get("value")).and_then(Value::as_str);
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    }
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}
