//! kubectl, one command after the other, as a person or a script would.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::control_plane::{Kubectl, KubectlOutput};
use harness::manifests::config_map;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long an answer that was under way may come after its server's end.
const SLACK: Duration = Duration::from_secs(1);

/// What kubectl says when the connection to a server broke during a request
/// that must not be repeated.
const RESETS: [&str; 4] = ["connection reset", "connection termination", "EOF", "reset reason"];

/// A command that was run.
pub struct Command {
    pub arguments: Vec<String>,
    pub started: Instant,
    pub ended: Instant,
    pub output: KubectlOutput,
}

/// A loop of commands.
pub struct KubectlLoop {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Vec<Command>>>,
}

impl KubectlLoop {
    /// Starts it; manifests are written to `folder`.
    pub fn start(kubectl: Kubectl, folder: &Path) -> Result<Self> {
        let manifest = folder.join("kubectl-loop.json");
        fs::write(&manifest, config_map("kubectl-loop").to_string())?;
        let manifest = manifest.display().to_string();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut commands = Vec::new();
            while !*stopped.borrow() {
                for arguments in [
                    vec!["apply", "-f", &manifest],
                    vec!["get", "configmap", "kubectl-loop", "-o", "name"],
                    vec!["get", "deployments", "--all-namespaces"],
                    vec!["delete", "-f", &manifest, "--ignore-not-found"],
                ] {
                    let command = run(&kubectl, &arguments).await?;
                    let succeeded = command.output.success;
                    commands.push(command);
                    // A command that was reset may have taken effect or not, and the next one
                    // depends on it.
                    if !succeeded {
                        break;
                    }
                }
            }
            Ok(commands)
        });
        Ok(Self { stop, task })
    }

    /// Ends it after the commands that it has begun.
    pub async fn finish(self) -> Result<Vec<Command>> {
        self.stop.send_replace(true);
        self.task.await?
    }
}

async fn run(kubectl: &Kubectl, arguments: &[&str]) -> Result<Command> {
    let started = Instant::now();
    let output = kubectl.run(arguments).await?;
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Ok(Command { arguments, started, ended: Instant::now(), output })
}

/// None failed beyond the resets of a stopping server.
pub fn judge(commands: &[Command], stops: &[(Instant, Instant)]) -> Result<()> {
    let failed: Vec<_> = commands
        .iter()
        .filter(|command| !command.output.success)
        .filter(|command| {
            let reset = RESETS.iter().any(|text| command.output.stderr.contains(text));
            !(reset && is_during(stops, command.started, command.ended))
        })
        .map(|command| format!("{}: {}", command.arguments.join(" "), command.output.stderr))
        .collect();
    ensure!(failed.is_empty(), "kubectl failed: {failed:#?}");
    ensure!(commands.len() >= 8, "only {} commands", commands.len());
    Ok(())
}

/// Returns whether a time overlaps one of these, with slack.
pub fn is_during(times: &[(Instant, Instant)], from: Instant, to: Instant) -> bool {
    times.iter().any(|(begun, ended)| to >= *begun && from <= *ended + SLACK)
}
