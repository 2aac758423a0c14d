//! Programs of others, run as a person would run them.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// No run takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A program, with the arguments that all runs begin with.
#[derive(Debug, Clone)]
pub struct Program {
    pub binary: PathBuf,
    pub arguments: Vec<String>,
}

/// The output of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn new(binary: PathBuf) -> Self {
        Self { binary, arguments: Vec::new() }
    }

    /// Returns the program that this variable names; `make conformance` sets it.
    pub fn named_by(variable: &str) -> Result<Self> {
        let path = std::env::var_os(variable).map(PathBuf::from);
        let path = path.with_context(|| {
            format!("{variable} is not set: run `make conformance`, or source `make env`")
        })?;
        ensure!(path.is_file(), "{variable} names {}, which is not a file", path.display());
        Ok(Self::new(path))
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub async fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Result<Said> {
        let mut command = Command::new(&self.binary);
        // Without the proxy and kubeconfig settings of the person who runs the test.
        for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "KUBECONFIG"] {
            command.env_remove(variable);
        }
        command.args(&self.arguments).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(TIME_LIMIT, command.output())
            .await
            .with_context(|| format!("{} takes too long", self.binary.display()))??;
        Ok(Said {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Said {
    /// Returns the standard output of a run that succeeded.
    pub fn ok(self) -> Result<String> {
        ensure!(self.success, "it failed: {}{}", self.stdout, self.stderr);
        Ok(self.stdout)
    }
}
