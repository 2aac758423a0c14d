//! kubectl, as a person would run it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

/// No command of a test takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// kubectl with a kubeconfig and a discovery cache of its own.
#[derive(Debug, Clone)]
pub struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubectlOutput {
    /// Whether it exited with 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl KubectlOutput {
    /// The standard output, of a command that succeeded.
    ///
    /// # Errors
    ///
    /// When it failed.
    pub fn ok(self) -> Result<String> {
        ensure!(self.success, "kubectl failed: {}{}", self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// The standard output of `-o json`.
    ///
    /// # Errors
    ///
    /// When it failed or printed no JSON.
    pub fn json(self) -> Result<Value> {
        Ok(serde_json::from_str(&self.ok()?)?)
    }
}

impl Kubectl {
    /// The kubectl in `binary` (a control plane's) with this kubeconfig, which
    /// caches discovery in `cache`.
    pub fn new(binary: PathBuf, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self { binary, kubeconfig, cache }
    }

    /// The kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// When it cannot be executed or takes more than a minute; a command that
    /// fails is no error here.
    pub async fn run(&self, arguments: &[&str]) -> Result<KubectlOutput> {
        let mut command = Command::new(&self.binary);
        command
            .args(["kubectl", "--kubeconfig"])
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(TIME_LIMIT, command.output())
            .await
            .with_context(|| format!("kubectl {arguments:?} takes too long"))??;
        Ok(KubectlOutput {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
