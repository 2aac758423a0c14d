//! `make e2e`: runs Kubernetes' own end-to-end suite through Envoy in front of
//! two versions, and fails if a spec fails only there.

use std::fs;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use e2e::{Form, Options, Pair, run};
use harness::artifacts::integration_folder;

#[derive(Debug, Parser)]
#[command(about = "Kubernetes' end-to-end suite through Envoy, in front of two versions")]
struct Arguments {
    /// The versions, such as 1.36+1.37.
    #[arg(long)]
    pair: Pair,
    /// How often everything is repeated.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// How many specs run at a time.
    #[arg(long, default_value_t = 2)]
    processes: usize,
    /// Only specs whose names this regular expression (Go's) finds; repeatable.
    #[arg(long)]
    focus: Vec<String>,
    /// Only the short form.
    #[arg(long, conflicts_with = "focus")]
    short: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let form = match arguments.focus {
        _ if arguments.short => Form::Short,
        focus if focus.is_empty() => Form::Whole,
        focus => Form::Only(focus),
    };
    let mut ours = 0;
    for number in 1..=arguments.runs {
        let place = format!("../target/e2e/{}/run-{number}", arguments.pair);
        let folder = integration_folder().join(place);
        fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        println!("Run {number} of {}; reports and logs: {}", arguments.runs, folder.display());
        let options = Options {
            pair: arguments.pair,
            form: form.clone(),
            processes: arguments.processes,
            folder: folder.clone(),
        };
        let summary = run(&options).await?;
        fs::write(folder.join("summary.json"), format!("{:#}\n", summary.to_json()))?;
        println!("\n{summary}");
        ours += summary.ours().len();
    }
    Ok(if ours == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
