//! `kubectl skew support-bundle`: what a bug report needs, in one JSON document, without secrets.
//!
//! It has what the companion's endpoint shows, which is no secret, and the doctor's diagnosis. Of the
//! kubeconfig it has the server's host and port.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value, json};

use super::doctor::Doctor;
use crate::args::Connection;
use crate::companion::Companion;
use crate::doctor::Diagnosis;
use crate::output;

/// What is read of the companion.
const PATHS: [&str; 5] = ["/readyz", "/metrics", "/v1/envoys", "/v1/control-planes", "/v1/events"];

/// The same, of the control plane.
const OF_CONTROL_PLANE: [&str; 3] = ["map", "peers", "sources"];

#[derive(Clone, Debug, Args)]
pub struct Bundle {}

impl Bundle {
    /// Writes the document.
    ///
    /// # Errors
    /// The companion cannot be reached.
    pub async fn run(&self, args: &Connection, out: &mut dyn Write) -> Result<()> {
        let mut companion = Companion::connect(args).await?;
        let mut answers = Map::new();
        let of_control_plane = OF_CONTROL_PLANE.map(|name| companion.path(name));
        for path in PATHS.map(str::to_owned).into_iter().chain(of_control_plane) {
            let (_, text) = companion.text(&path).await?;
            // A text that is not JSON stays a text.
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            answers.insert(path, value);
        }
        let examined = Doctor::default().examine(args).await?;
        let bundle = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "server": examined.control_plane.server,
            "companion": answers,
            "diagnosis": Diagnosis::of(&examined),
        });
        Ok(out.write_all(output::json(&bundle)?.as_bytes())?)
    }
}
