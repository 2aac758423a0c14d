//! `make demo`: shows on a terminal what the project does.
//!
//! Three API servers, one of them newer, behind Envoy twice: once as a plain
//! round robin, once with the filter. The same requests go through both; then
//! a server is upgraded live, and the map follows. After that everything stays
//! up to be tried by hand, until Ctrl-C: its files are in `target/demo`, and
//! `docs/tutorial.md` goes on from there.

mod files;
mod peers;
mod story;
mod try_it;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use files::Files;
use peers::{Kind, Peers};

#[derive(Debug, Parser)]
#[command(about = "Skewed API servers behind Envoy, without and with the filter")]
struct Arguments {
    /// The kind of the API servers.
    #[arg(long, value_enum, default_value_t = Kind::Recorded)]
    peers: Kind,
    /// The folder of the files that are used while it stays up. What it has is removed.
    #[arg(long, default_value = "target/demo")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Any value except an empty one and 0 ends the demo after the story.
    let once = std::env::var("DEMO_ONCE").is_ok_and(|once| !once.is_empty() && once != "0");
    let files = if once { None } else { Some(Files::create(&arguments.folder)?) };
    let mut peers = Peers::start(arguments.peers).await?;
    let kinds = story::Kinds::new()?;
    let folder = files.as_ref().map(Files::folder);
    let stack = story::tell(&mut peers, &kinds, folder).await?;
    let Some(files) = files else { return Ok(()) };
    files.write(&peers, &stack, &kinds)?;
    try_it::print(&peers, &stack, &kinds, &arguments.folder);
    tokio::signal::ctrl_c().await?;
    println!("\nStopping.");
    Ok(())
}
