//! kubectl, run as a person would.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// No command of a test takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// kubectl with a kubeconfig and a discovery cache of its own.
#[derive(Debug, Clone)]
pub struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
    cache: PathBuf,
    environment: Vec<(&'static str, &'static str)>,
}

/// The output of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubectlOutput {
    /// Whether it exited with 0.
    pub success: bool,
    /// The exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl KubectlOutput {
    /// Returns the standard output, of a command that succeeded. Fails if it
    /// failed.
    pub fn ok(self) -> Result<String> {
        ensure!(self.success, "kubectl failed: {}{}", self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// Returns the standard output of `-o json`. Fails if it failed or printed
    /// something that is not JSON.
    pub fn json(self) -> Result<Value> {
        Ok(serde_json::from_str(&self.ok()?)?)
    }
}

impl Kubectl {
    /// Returns the kubectl in `binary` (a control plane's) with this kubeconfig, which
    /// caches discovery in `cache`.
    pub fn new(binary: PathBuf, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self { binary, kubeconfig, cache, environment: Vec::new() }
    }

    /// Returns the same, with SPDY/3.1 for exec, attach and port-forward. Otherwise it
    /// uses WebSocket, and SPDY only where that fails.
    #[must_use]
    pub fn with_spdy(mut self) -> Self {
        self.environment.push(("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false"));
        self.environment.push(("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false"));
        self
    }

    /// Runs a command. Fails if it cannot be executed or takes more than a
    /// minute; a command that fails is not an error here.
    pub async fn run(&self, arguments: &[&str]) -> Result<KubectlOutput> {
        self.run_with_input(arguments, b"").await
    }

    /// Runs a command that reads `input`. Fails if it cannot be executed or
    /// takes more than a minute; a command that fails, or does not read all, is
    /// not an error here.
    pub async fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Result<KubectlOutput> {
        let mut command = self.command(arguments);
        command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let write = async {
            if let Some(mut stdin) = stdin {
                // It may have ended without reading; its output says why.
                stdin.write_all(input).await.ok();
            }
        };
        let both = async { tokio::join!(write, child.wait_with_output()).1 };
        let output = tokio::time::timeout(TIME_LIMIT, both)
            .await
            .with_context(|| format!("kubectl {arguments:?} takes too long"))??;
        Ok(KubectlOutput {
            success: output.status.success(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a long-running command such as `logs --follow`; it ends with the
    /// handle that is returned. Fails if it cannot be executed.
    pub fn start(&self, arguments: &[&str]) -> Result<RunningKubectl> {
        let mut child = self.command(arguments).stdin(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("it has no standard output")?;
        let stderr = child.stderr.take().context("it has no standard error")?;
        let said = Arc::default();
        tokio::spawn(collect(stderr, Arc::clone(&said)));
        Ok(RunningKubectl { child, lines: BufReader::new(stdout).lines(), said })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(["kubectl", "--kubeconfig"])
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache)
            .args(arguments)
            .envs(self.environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

/// Keeps the output until the end.
async fn collect(mut stderr: ChildStderr, said: Arc<Mutex<String>>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        let text = String::from_utf8_lossy(piece.get(..length).unwrap_or_default());
        said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
    }
}

/// A running command; dropping it ends it.
#[derive(Debug)]
pub struct RunningKubectl {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Arc<Mutex<String>>,
}

impl RunningKubectl {
    /// Returns the next line of its standard output. Fails if it ends, or
    /// prints nothing for a minute.
    pub async fn next_line(&mut self) -> Result<String> {
        let line = tokio::time::timeout(TIME_LIMIT, self.lines.next_line()).await;
        line.with_context(|| format!("kubectl prints nothing: {}", self.said()))??
            .with_context(|| format!("kubectl ended: {}", self.said()))
    }

    /// Returns its standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails when it has ended. Fails if it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        let status = self.child.try_wait()?;
        ensure!(status.is_none(), "kubectl ended: {status:?}: {}", self.said());
        Ok(())
    }
}
