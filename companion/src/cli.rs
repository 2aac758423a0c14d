//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::app::{self, Checked};
use crate::config::MirrorConfig;
use crate::drain::{Times, drain};
use crate::manifest::{self, Program};
use crate::mirror;
use crate::program::{ProgramError, failed};

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
    /// Run a mirror beside an Envoy until SIGTERM or SIGINT; it stores what companions serve, and
    /// serves it to the Envoy while no companion answers.
    Mirror(ConfigArgs),
    /// Validate a configuration, report every fault, and exit.
    CheckConfig(CheckArgs),
    /// Print a manifest for a control-plane node of kubeadm.
    #[command(subcommand)]
    Manifest(Manifest),
    /// Drain the Envoy on this host, so that no request fails when it is stopped.
    Drain(DrainArgs),
}

#[derive(Debug, Subcommand)]
enum Manifest {
    /// A static pod, for /etc/kubernetes/manifests; JSON, which the kubelet reads like YAML.
    StaticPod {
        /// Program that the pod runs.
        program: Program,
        /// Container image.
        #[arg(long)]
        image: String,
    },
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// Treat the file as a mirror's configuration.
    #[arg(long)]
    mirror: bool,
}

#[derive(Debug, Args)]
struct DrainArgs {
    /// Envoy's admin interface.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// How long a load balancer needs to notice that the health check fails: its interval times its
    /// threshold.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "15s")]
    notice: Duration,
    /// Envoy's --drain-time-s.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "60s")]
    drain: Duration,
    /// Longest time to wait for connections that remain after the drain.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30s")]
    linger: Duration,
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
            Command::Run(args) => run(app::run(&args.config)),
            Command::Mirror(args) => run(mirror::run(&args.config)),
            Command::Manifest(Manifest::StaticPod { program, image }) => {
                println!("{:#}", manifest::static_pod(program, &image));
                Ok(ExitCode::SUCCESS)
            }
            Command::CheckConfig(CheckArgs { file, mirror: true }) => Ok(check_mirror(&file)),
            Command::CheckConfig(CheckArgs { file, mirror: false }) => Ok(check_config(&file)),
            Command::Drain(DrainArgs { admin, notice, drain: time, linger }) => {
                let drained = drain(admin, Times { notice, drain: time, linger });
                run(async { drained.await.map_err(failed("")) })
            }
        }
    }
}

fn run(program: impl Future<Output = Result<(), ProgramError>>) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        // The span has the name of the control plane, if there are many.
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // Few threads suffice, and each has its own heap.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()?;
    runtime.block_on(program)?;
    Ok(ExitCode::SUCCESS)
}

fn check_config(args: &ConfigArgs) -> ExitCode {
    match app::check(&args.config) {
        Ok(Checked { found, warning }) => {
            println!("{}: valid, {found}", args.config.display());
            if let Some(warning) = warning {
                eprintln!("warning: {warning}");
            }
            ExitCode::SUCCESS
        }
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::FAILURE
        }
    }
}

fn check_mirror(args: &ConfigArgs) -> ExitCode {
    match MirrorConfig::check(&args.config) {
        Ok(()) => {
            println!("{}: valid", args.config.display());
            ExitCode::SUCCESS
        }
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::FAILURE
        }
    }
}
