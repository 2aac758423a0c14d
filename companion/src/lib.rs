//! The companion: it polls what every kube-apiserver of a control plane serves, and tells Envoy.
//!
//! Data flows one way:
//!
//! ```text
//!  config ─▶ sources ─peers─▶ poll, index
//!  config ─▶ poll, control_plane, open_api ─facts▶ index ─snapshot▶ publish ─▶ xDS files
//!            └────────── apiserver ──────┘         (merge)          (when, how)
//! ```
//!
//! `index`, `xds` and `facts` touch nothing outside the process. What does: `apiserver` (the
//! peers), `sources` (DNS servers, the API of a hosting cluster), `certificates`, `config`,
//! `reload` and `secrets` (files that are read), `publish`, `lock` and `state` (files that are
//! written), `kubernetes_events` (Events in the control plane), `ads`, `serve` and `app` (sockets,
//! signals).

#![forbid(unsafe_code)]

mod ads;
mod apiserver;
mod app;
mod bucket;
mod causes;
mod certificates;
mod channel;
pub mod cli;
mod clock;
pub mod config;
mod control_plane;
mod directory;
mod drain;
pub mod endpoints;
mod facts;
mod files;
mod fingerprint;
mod history;
mod index;
mod kubernetes_events;
mod lock;
mod manifest;
mod metrics;
mod mirror;
mod open_api;
mod places;
mod poll;
mod program;
mod publish;
mod reload;
mod secrets;
mod serve;
mod sources;
mod state;
pub mod xds;
