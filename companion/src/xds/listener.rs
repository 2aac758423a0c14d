//! The listener of many control planes: from an operator's template, one filter chain for each.
//!
//! ```text
//!  template ─┬─▶ the listener without chains ─────────────┐
//!            ├─▶ chain: server names, TLS, a reference ───┴─▶ listener (LDS)
//!            └─▶ connections: the HTTP connection manager ──▶ an extension (ECDS)
//! ```
//!
//! Envoy reads, compares and keeps the listener as a whole for each chain that comes or goes, so a
//! chain has little in it: the connection manager of each control plane is a resource of its own
//! (ADR 0024). A template is checked when it is read: no chain can name what belongs to another
//! control plane, and no private key is in it.

use bytes::Bytes;
use discovery_map::Faults;
use prost::encoding;
use serde_json::{Map, Value, json};

use self::placeholder::{PLACEHOLDER, substituted};
use super::filter::FilterConfig;
use super::message::{ConfigSource, type_url};
use super::protobuf::{EncodeError, encode};
use super::wasm::FILTER_NAME;
use crate::config::ServerName;
use crate::fingerprint::fingerprint;

mod placeholder;
mod rules;
#[cfg(test)]
mod tests;
mod visit;

/// The field `filter_chains` of a listener.
const FILTER_CHAINS: u32 = 3;

/// What the name of a connection manager ends in.
pub const CONNECTIONS: &str = "/connections";

/// A message in protobuf. Equal content has an equal version in every companion; its bytes can
/// differ, because maps have no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The message.
    pub body: Bytes,
    /// Says what is in it.
    pub version: String,
}

/// A template that was checked.
#[derive(Clone, Debug)]
pub struct ListenerTemplate {
    name: String,
    base: Encoded,
    /// The chain, with a reference in place of the connection manager.
    chain: Value,
    connections: Value,
}

impl ListenerTemplate {
    /// Reads a template: a listener in YAML with one filter chain, in which `${control_plane}`
    /// stands for the name of a control plane.
    ///
    /// # Errors
    /// Everything that is wrong, by its place in the template.
    pub fn from_yaml(text: &str) -> Result<Self, Faults> {
        let listener = serde_saphyr::from_str::<Value>(text)
            .map_err(|error| Faults::one("document", error.without_snippet().to_string()))?;
        rules::check(&listener)?;
        let split = Self::split(listener);
        let split = split.ok_or_else(|| Faults::one("document", "must be a listener"))?;
        // A field that Envoy does not know shows here.
        let faulty = |error: EncodeError| Faults::one("document", error.to_string());
        let template = split.map_err(faulty)?;
        template.chain("any", &[]).map_err(faulty)?;
        encode_connections("any", &template.connections).map_err(faulty)?;
        Ok(template)
    }

    /// Takes a listener apart. `None` if it has no chain with filters.
    fn split(mut listener: Value) -> Option<Result<Self, EncodeError>> {
        let name = listener.get("name")?.as_str()?.to_owned();
        let mut chain = listener.as_object_mut()?.remove("filter_chains")?.get_mut(0)?.take();
        let filters = chain.get_mut("filters")?.as_array_mut()?;
        let connections = filters.pop()?.get_mut("typed_config")?.take();
        filters.push(reference(connections.get("@type")?));
        chain.as_object_mut()?.insert("name".to_owned(), PLACEHOLDER.into());
        typed(&mut listener, "envoy.config.listener.v3.Listener")?;
        typed(&mut chain, "envoy.config.listener.v3.FilterChain")?;
        Some(Encoded::new(listener).map(|base| Self { name, base, chain, connections }))
    }

    /// Returns the name of the listener.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the listener without chains.
    pub fn base(&self) -> &Encoded {
        &self.base
    }

    /// Returns the chain of a control plane, for connections with one of these server names.
    ///
    /// # Errors
    /// It cannot be encoded: a fault of this program, since the template could.
    pub fn chain(
        &self,
        control_plane: &str,
        server_names: &[ServerName],
    ) -> Result<Encoded, EncodeError> {
        let mut chain = substituted(&self.chain, control_plane);
        if let Some(fields) = chain.as_object_mut() {
            let names: Vec<_> = server_names.iter().map(ServerName::as_str).collect();
            fields.insert("filter_chain_match".to_owned(), json!({ "server_names": names }));
        }
        Encoded::new(chain)
    }

    /// Returns the connection manager that a control plane's chain refers to, with its name.
    /// `without_map` is the control plane's filter without a map. It answers until Envoy has one with
    /// a map, so that a map that is refused does not keep the listener waiting.
    ///
    /// # Errors
    /// It cannot be encoded: a fault of this program, since the template could.
    pub fn connections(
        &self,
        control_plane: &str,
        without_map: &FilterConfig,
    ) -> Result<(String, Encoded), EncodeError> {
        let filter = without_map.to_json();
        let mut connections = substituted(&self.connections, control_plane);
        let filters = connections.get_mut("http_filters").and_then(Value::as_array_mut);
        for entry in filters.into_iter().flatten() {
            let is_ours = entry.get("name") == filter.get("name");
            let source = entry.get_mut("config_discovery").and_then(Value::as_object_mut);
            if let (true, Some(source)) = (is_ours, source) {
                let config = filter.get("typed_config").cloned().unwrap_or_default();
                source.insert("default_config".to_owned(), config);
                source.insert("apply_default_config_without_warming".to_owned(), true.into());
            }
        }
        let name = connections_name(control_plane);
        let encoded = encode_connections(&name, &connections)?;
        Ok((name, encoded))
    }
}

impl Encoded {
    /// Encodes a resource. Its JSON gives the version.
    ///
    /// # Errors
    /// The JSON has no type, or has what the type does not know.
    pub fn new(json: Value) -> Result<Self, EncodeError> {
        let version = fingerprint(json.to_string().as_bytes());
        Ok(Self { body: encode(json)?.into(), version })
    }
}

/// Returns a listener with these chains. Two encoded messages in a row are one message with the
/// fields of both.
pub fn listener<'c>(base: &Encoded, chains: impl Iterator<Item = &'c Encoded>) -> Encoded {
    let (mut body, mut versions) = (base.body.to_vec(), base.version.clone());
    for chain in chains {
        encoding::bytes::encode(FILTER_CHAINS, &chain.body, &mut body);
        versions.push_str(&chain.version);
    }
    Encoded { body: body.into(), version: fingerprint(versions.as_bytes()) }
}

fn encode_connections(name: &str, config: &Value) -> Result<Encoded, EncodeError> {
    Encoded::new(json!({
        "@type": type_url("envoy.config.core.v3.TypedExtensionConfig"),
        "name": name,
        "typed_config": config,
    }))
}

/// Returns the name of the connection manager of a control plane.
fn connections_name(control_plane: &str) -> String {
    format!("{FILTER_NAME}/{control_plane}{CONNECTIONS}")
}

/// Returns the network filter that gets its configuration from the stream of the listener.
fn reference(connections: &Value) -> Value {
    let name = connections_name(PLACEHOLDER);
    let source = ConfigSource::Ads.to_json();
    json!({
        "name": name,
        "config_discovery": { "config_source": source, "type_urls": [connections] },
    })
}

fn typed(message: &mut Value, name: &str) -> Option<()> {
    let fields: &mut Map<String, Value> = message.as_object_mut()?;
    fields.insert("@type".to_owned(), type_url(name).into());
    Some(())
}
