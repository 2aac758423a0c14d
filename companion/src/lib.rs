//! The companion: it watches what every kube-apiserver of a control plane
//! serves, and tells Envoy.
//!
//! Data flows one way, and only `peer`, `publish`, `state` and `serve` touch
//! the world outside:
//!
//! ```text
//!  config ─▶ peer ──▶ index ──▶ publish ─▶ xds resources in files
//!            (ask)    (merge)   (when, how)
//! ```

#![forbid(unsafe_code)]

pub mod absence;
pub mod apiserver;
pub mod app;
pub mod certificates;
pub mod cli;
pub mod config;
pub mod control_plane;
pub mod facts;
pub mod files;
pub mod index;
pub mod metrics;
pub mod poll;
pub mod publish;
pub mod reload;
pub mod secrets;
pub mod serve;
pub mod state;
pub mod xds;
