//! The companion: it polls what every kube-apiserver of a control plane serves,
//! and tells Envoy.
//!
//! Data flows one way:
//!
//! ```text
//!  config ─▶ poll, absence, control_plane ─facts▶ index ─snapshot▶ publish ─▶ xDS files
//!            └────── apiserver ───────┘           (merge)          (when, how)
//! ```
//!
//! `index`, `xds` and `facts` touch nothing outside the process. What does:
//! `apiserver` (the peers), `certificates`, `config`, `reload` and `secrets`
//! (files that are read), `publish` and `state` (files that are written),
//! `serve` and `app` (a socket, signals).

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
mod fingerprint;
pub mod index;
pub mod metrics;
pub mod poll;
pub mod publish;
pub mod reload;
pub mod secrets;
pub mod serve;
pub mod state;
pub mod xds;
