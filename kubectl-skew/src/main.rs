//! The program; everything that it does is in the library.

use std::process::ExitCode;

use clap::Parser;
use kubectl_skew::cli::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let screen = cli.screen();
    cli.execute(&screen, &mut std::io::stdout()).await.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(kubectl_skew::cli::FAILED)
    })
}
