//! Records the answers of real kube-apiservers in `integration/recordings/`.
//! `make recordings` runs it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use fake_apiserver::Version;
use harness::artefacts::integration_folder;
use harness::control_plane::ControlPlane;

/// Starts one kube-apiserver of each version and records its answers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder to write to; by default the checkout's recordings.
    #[arg(long)]
    output: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let output = arguments.output.unwrap_or_else(|| integration_folder().join("recordings"));
    let plane = ControlPlane::start(&Version::ALL).await?;
    for folder in harness::recordings::record(&plane, &output).await? {
        println!("recorded {}", folder.display());
    }
    Ok(())
}
