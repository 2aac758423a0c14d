//! What is shipped for the controllers of gateways: `envoy-config/envoy-gateway` and
//! `envoy-config/istio`.

mod envoy_gateway;
mod istiod;

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::artifacts::integration_folder;

pub use envoy_gateway::EnvoyGateway;
pub use istiod::Istiod;

/// A kind of gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// Envoy Gateway.
    Envoy,
    /// Istio.
    Istio,
}

/// What a shipped patch adds to the configuration that a controller makes.
#[derive(Debug)]
pub struct Patch {
    /// The clusters.
    pub clusters: Vec<Value>,
    /// The listener's connection manager.
    pub connection_manager: Value,
}

impl Gateway {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Envoy, Self::Istio];

    /// Returns the folder in `envoy-config` that is shipped for it.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Envoy => "envoy-gateway",
            Self::Istio => "istio",
        }
    }

    /// Returns a file that is shipped for it. Fails if it cannot be read.
    pub fn shipped(self, file: &str) -> Result<String> {
        let path = integration_folder().join("../envoy-config").join(self.folder()).join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

impl Patch {
    /// Returns the patch that is shipped. Fails if it has another form.
    pub fn read(gateway: Gateway) -> Result<Self> {
        let patch: Value = serde_saphyr::from_str(&gateway.shipped("patch.yaml")?)?;
        match gateway {
            Gateway::Envoy => of_envoy_gateway(&patch),
            Gateway::Istio => of_istio(&patch),
        }
    }

    /// Returns a bootstrap with the clusters and the connection manager in place of its own. Fails if
    /// it has another form than the quickstart's.
    pub fn in_bootstrap(&self, bootstrap: &str) -> Result<String> {
        let mut bootstrap: Value = serde_saphyr::from_str(bootstrap)?;
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        let manager = bootstrap.pointer_mut(manager).context("no connection manager")?;
        manager.clone_from(&self.connection_manager);
        let fields = bootstrap.as_object_mut().context("no bootstrap")?;
        fields.remove("dynamic_resources").context("no dynamic resources")?;
        let resources = fields.get_mut("static_resources").and_then(Value::as_object_mut);
        let resources = resources.context("no static resources")?;
        resources.insert("clusters".to_owned(), json!(self.clusters));
        // Tests find their places by this text, as it is in the file.
        Ok(as_yaml(&bootstrap))
    }
}

/// JSON is YAML, but for the space after colons that texts to be replaced have.
fn as_yaml(value: &Value) -> String {
    let ports = [("\"port_value\":", "port_value: ")];
    ports.iter().fold(value.to_string(), |text, (from, to)| text.replace(from, to))
}

fn of_envoy_gateway(patch: &Value) -> Result<Patch> {
    let patches = patch.pointer("/spec/jsonPatches").and_then(Value::as_array);
    let patches = patches.context("no jsonPatches")?;
    let is = |patch: &Value, kind: &str| {
        patch.get("type").and_then(Value::as_str).is_some_and(|name| name.ends_with(kind))
    };
    let value = |patch: &Value| patch.pointer("/operation/value").cloned();
    let clusters = patches.iter().filter(|patch| is(patch, ".Cluster")).filter_map(value);
    let manager = patches.iter().filter(|patch| is(patch, ".Listener")).find_map(value);
    let connection_manager = manager.context("no patch of a listener")?;
    Ok(Patch { clusters: clusters.collect(), connection_manager })
}

fn of_istio(patch: &Value) -> Result<Patch> {
    let patches = patch.pointer("/spec/configPatches").and_then(Value::as_array);
    let patches = patches.context("no configPatches")?;
    let of = |kind: &str| -> Vec<&Value> {
        let of_kind =
            patches.iter().filter(|patch| patch.get("applyTo").is_some_and(|to| to == kind));
        of_kind.filter_map(|patch| patch.pointer("/patch/value")).collect()
    };
    let manager =
        of("NETWORK_FILTER").first().and_then(|filter| filter.get("typed_config")).cloned();
    let connection_manager = manager.context("no patch of a network filter")?;
    Ok(Patch { clusters: of("CLUSTER").into_iter().cloned().collect(), connection_manager })
}
