//! `kubectl skew`: which types the API servers of a control plane serve, and why a request goes where
//! it goes.
//!
//! ```text
//!  companion (URL, or its pod) ─┬ facts ──┬── matrix ── table, JSON, YAML
//!  API servers ── servers ──────┘         ├── request, routing::plan ── explain
//!  kubeconfig ── control_plane ── objects ┴── check, doctor, plan
//! ```
//!
//! What is known comes in as [`facts`], and everything that follows from it is pure. What touches
//! the network is `kubeconfig`, `control_plane`, `servers` and `companion`; what touches the terminal is `screen` and `terminal`.

#![forbid(unsafe_code)]

mod args;
mod audit;
mod builtin;
mod changes;
mod check;
pub mod cli;
mod commands;
mod companion;
mod control_plane;
mod doctor;
mod endpoint;
mod explain;
mod exposition;
mod facts;
mod kubeconfig;
mod matrix;
mod output;
mod plan;
mod request;
mod screen;
mod servers;
mod source;
mod table;
pub mod terminal;
mod top;
mod types;

pub use screen::Screen;
