//! The command line.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::args::{Color, Connection};
use crate::check::Verdict;
use crate::commands::bundle::Bundle;
use crate::commands::check::CheckArgs;
use crate::commands::doctor::Doctor;
use crate::commands::explain::Explain;
use crate::commands::pages::{Completion, ManualPage};
use crate::commands::plan::PlanArgs;
use crate::commands::show::Show;
use crate::commands::top::Top;
use crate::screen::Screen;

/// The exit code if `check` says no.
const REFUSED: u8 = 1;

/// The exit code if a command could not find out what it was asked; also that of a faulty command
/// line.
pub const FAILED: u8 = 2;

/// Show which types the API servers of a control plane serve, and why a request goes where it goes.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-skew",
    bin_name = "kubectl skew",
    version,
    args_conflicts_with_subcommands = false
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    show: Show,
    #[command(flatten)]
    connection: Connection,
    /// When to use color.
    #[arg(long, value_enum, default_value_t, global = true)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explain what becomes of a request: target, serving set, cluster, rule, and what a 404 would
    /// mean.
    Explain(Explain),
    /// Check whether the next server may be taken down. Exits with 0 if it may, with 1 if not, and
    /// with 2 if that could not be found out.
    Check(CheckArgs),
    /// Plan an upgrade: what the version adds and removes, and who uses the removed types. Exits
    /// with 1 if a removed type is in use, and with 2 if that could not be found out.
    Plan(PlanArgs),
    /// Examine an installation: what is wrong, what it leads to, and how to fix it. Exits with 1 if
    /// something is wrong.
    Doctor(Doctor),
    /// Show peers, requests by decision and skewed types on the terminal, until q.
    Top(Top),
    /// Write what a bug report needs as one JSON document, without secrets.
    SupportBundle(Bundle),
    /// Write a script that completes command lines of kubectl-skew.
    Completion(Completion),
    /// Write the manual page.
    Man(ManualPage),
}

impl Cli {
    /// Returns what the standard output is.
    #[must_use]
    pub fn screen(&self) -> Screen {
        Screen::detect(self.color)
    }

    /// Executes the command.
    ///
    /// # Errors
    /// The command could not find out what it was asked.
    pub async fn execute(self, screen: &Screen, out: &mut dyn Write) -> Result<ExitCode> {
        match &self.command {
            None => self.show.run(&self.connection, screen, out).await?,
            Some(Command::Explain(explain)) => explain.run(&self.connection, out).await?,
            Some(Command::Top(top)) => top.run(&self.connection).await?,
            Some(Command::SupportBundle(bundle)) => bundle.run(&self.connection, out).await?,
            Some(Command::Completion(completion)) => completion.run(&mut Self::command(), out)?,
            Some(Command::Man(page)) => page.run(Self::command(), out)?,
            Some(Command::Doctor(doctor)) => {
                let is_healthy = doctor.run(&self.connection, out).await?;
                return Ok(code(if is_healthy { Verdict::Yes } else { Verdict::No }));
            }
            Some(Command::Plan(plan)) => {
                return Ok(code(plan.run(&self.connection, screen, out).await?));
            }
            Some(Command::Check(check)) => {
                return Ok(code(check.run(&self.connection, screen, out).await?));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Yes | Verdict::Warning => ExitCode::SUCCESS,
        Verdict::No => ExitCode::from(REFUSED),
        Verdict::Unknown => ExitCode::from(FAILED),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Screen};

    async fn written(args: &[&str]) -> String {
        let args = ["kubectl-skew"].iter().chain(args);
        let mut out = Vec::new();
        let cli = Cli::try_parse_from(args).unwrap();
        cli.execute(&Screen::default(), &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn every_shell_gets_a_script_and_every_command_a_page() {
        for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
            let script = written(&["completion", shell]).await;
            assert!(script.contains("control-plane") && script.contains("doctor"), "{shell}");
        }
        let page = written(&["man"]).await;
        assert!(page.contains(".TH") && page.contains("explain"), "{page}");
        let folder = tempfile::tempdir().unwrap();
        written(&["man", "--directory", folder.path().to_str().unwrap()]).await;
        for name in ["kubectl-skew.1", "kubectl-skew-check.1", "kubectl-skew-explain.1"] {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
