//! What Envoy is told, as typed resources. Pure: no file is touched.
//!
//! There are four types, in the order in which Envoy must have them: secrets (SDS), the endpoints
//! of each cluster (EDS), the clusters (CDS), and the filter's configuration with the discovery map
//! in it (ECDS).
//!
//! A resource holds what can differ between two pushes; its JSON adds what is always the same.
//! Resources name each other, and do not know how they are carried: whoever carries them says where
//! Envoy gets what is named (`ConfigSource`).

mod cluster;
mod endpoints;
mod filter;
mod listener;
mod message;
mod protobuf;
mod secret;
#[cfg(test)]
mod tests;
mod upstream;
mod wasm;

pub(crate) use cluster::Cluster;
pub(crate) use endpoints::{endpoints, endpoints_by_set};
pub use filter::{FilterConfig, MAP};
pub use listener::{CONNECTIONS, Encoded, ListenerTemplate, listener};
pub(crate) use message::{ConfigSource, response};
pub(crate) use protobuf::{EncodeError, decode, encode};
pub use upstream::upstream_filters;
pub use wasm::{FILTER_NAME, Module};

pub(crate) use secret::{
    CLIENT_CA, FRONT_PROXY, LISTENER, PEER_CA, Secret, SecretContent, front_proxy_name,
    of_control_plane, peer_ca_name,
};
