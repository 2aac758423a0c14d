//! `make demo`: shows on a terminal what the project does.
//!
//! Three API servers, one of them newer, behind Envoy twice: once as a plain
//! round robin, once with the filter. The same requests go through both; then
//! a server is upgraded live, and the map follows. After that everything stays
//! up to be tried by hand, until Ctrl-C.

mod peers;
mod story;
mod try_it;

use anyhow::Result;
use clap::Parser;

use peers::{Kind, Peers};

#[derive(Debug, Parser)]
#[command(about = "Skewed API servers behind Envoy, without and with the filter")]
struct Arguments {
    /// The kind of the API servers.
    #[arg(long, value_enum, default_value_t = Kind::Recorded)]
    peers: Kind,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut peers = Peers::start(arguments.peers).await?;
    let kinds = story::Kinds::new()?;
    let stack = story::tell(&mut peers, &kinds).await?;
    // Any value except an empty one and 0 ends the demo here.
    if std::env::var("DEMO_ONCE").is_ok_and(|once| !once.is_empty() && once != "0") {
        return Ok(());
    }
    try_it::print(&peers, &stack, &kinds)?;
    tokio::signal::ctrl_c().await?;
    println!("\nStopping.");
    Ok(())
}
