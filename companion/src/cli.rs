//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::app;
use crate::config::MainConfig;

/// Watches every kube-apiserver's discovery and tells Envoy who serves what.
#[derive(Debug, Parser)]
#[command(name = "mixed-version-companion", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until SIGTERM or SIGINT; SIGHUP reloads the configuration.
    Run(ConfigArgs),
    /// Validate a configuration, report every fault, and exit.
    CheckConfig(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Cli {
    /// Executes the command.
    ///
    /// # Errors
    /// What went wrong, as a text for the terminal.
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Run(args) => run(&args),
            Command::CheckConfig(args) => Ok(check_config(&args)),
        }
    }
}

fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // Few threads suffice, and each has its own heap.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()?;
    runtime.block_on(app::run(&args.config))?;
    Ok(ExitCode::SUCCESS)
}

fn check_config(args: &ConfigArgs) -> ExitCode {
    match MainConfig::load(&args.config) {
        Ok(config) => {
            println!("{}: valid, {}", args.config.display(), config.control_planes);
            if let Some(warning) = config.warning() {
                eprintln!("warning: {warning}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
