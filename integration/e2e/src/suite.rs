//! One run of the suite, by ginkgo.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::artifacts::Artifact;
use harness::process::{Process, Program};

use crate::spec::{self, Spec};

/// The time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(15);

/// What to run.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The suite's version, and that of its kubectl.
    pub version: Version,
    /// Where it is connected to, in a word for the progress.
    pub target: String,
    /// How it connects.
    pub kubeconfig: PathBuf,
    /// Specs run if one of these expressions finds a part of their names,
    pub focus: Vec<String>,
    /// and none of these does.
    pub skip: Vec<String>,
    /// How many specs run at a time.
    pub processes: usize,
    /// Where reports and log go.
    pub folder: PathBuf,
}

impl Suite {
    /// Runs it to its end, and returns all specs of the suite. Fails if it
    /// cannot be run or leaves no report; a spec that fails is not an error.
    pub async fn run(&self) -> Result<Vec<Spec>> {
        fs::create_dir_all(&self.folder)?;
        let (log, report) = (self.folder.join("log"), self.folder.join("specs.json"));
        for old in [&log, &report] {
            fs::remove_file(old).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
        }
        let suite = Artifact::EndToEndSuite(self.version).path()?;
        // Some specs leave files behind; they go with the cluster's.
        let temporary = self.kubeconfig.with_file_name("suite-files");
        fs::create_dir_all(&temporary)?;
        let ginkgo = Program::new("ginkgo", suite.with_file_name("ginkgo"), &log)
            .current_dir(&self.folder)
            .env("TMPDIR", temporary)
            .args(self.ginkgo_arguments())
            .arg(suite)
            .arg("--")
            .args(self.suite_arguments()?);
        let mut process = ginkgo.spawn()?;
        self.follow(&mut process, &log).await?;
        let specs = spec::read(&report).with_context(|| process.tail())?;
        ensure!(!specs.is_empty(), "no spec ran\n{}", process.tail());
        Ok(specs)
    }

    fn ginkgo_arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "run".to_owned(),
            format!("--procs={}", self.processes),
            "--no-color".to_owned(),
            "--timeout=1h".to_owned(),
            format!("--output-dir={}", self.folder.display()),
            "--json-report=specs.json".to_owned(),
            "--junit-report=junit.xml".to_owned(),
        ];
        arguments.extend(self.focus.iter().map(|expression| format!("--focus={expression}")));
        arguments.extend(self.skip.iter().map(|expression| format!("--skip={expression}")));
        arguments
    }

    fn suite_arguments(&self) -> Result<Vec<String>> {
        Ok(vec![
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--kubectl-path={}", self.kubectl()?.display()),
            "--provider=skeleton".to_owned(),
            // The suite waits for the control plane only.
            "--allowed-not-ready-nodes=-1".to_owned(),
            "--minStartupPods=0".to_owned(),
            "--disable-log-dump=true".to_owned(),
        ])
    }

    /// kubectl as a program of its own: the suite cannot pass its first
    /// argument to the control plane's binary.
    fn kubectl(&self) -> Result<PathBuf> {
        let binary = Artifact::ControlPlane(self.version).path()?;
        let path = self.folder.join("kubectl");
        fs::write(&path, format!("#!/bin/sh\nexec '{}' kubectl \"$@\"\n", binary.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Prints the progress until the end.
    async fn follow(&self, process: &mut Process, log: &Path) -> Result<()> {
        let mut shown = Progress::default();
        let mut waited = Duration::ZERO;
        while process.exited()?.is_none() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            waited += Duration::from_millis(200);
            if waited >= PROGRESS {
                waited = Duration::ZERO;
                let now = Progress::of(&String::from_utf8_lossy(&fs::read(log)?));
                if now != shown {
                    println!("  {}: {now}", self.target);
                    std::io::stdout().flush()?;
                    shown = now;
                }
            }
        }
        Ok(())
    }
}

/// How far ginkgo is, by its log.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Progress {
    ended: usize,
    failed: usize,
    all: usize,
}

impl Progress {
    /// Ginkgo prints `Will run 12 of 7000 specs`, and then a bullet for each
    /// that has ended, with a word if it failed.
    fn of(log: &str) -> Self {
        let failed = ["FAILED", "PANICKED", "TIMEDOUT"];
        let failed = failed.iter().map(|word| log.matches(&format!("• [{word}]")).count());
        let all = log.split_once("Will run ").and_then(|(_, rest)| rest.split(' ').next());
        Self {
            ended: log.matches('•').count(),
            failed: failed.sum(),
            all: all.and_then(|all| all.parse().ok()).unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} specs, {} failed", self.ended, self.all, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn the_progress_is_read_from_the_log() {
        let log = "Running Suite\nWill run 12 of 7000 specs\nSSS•S••\n• [7.1 seconds]\n• [FAILED] [1.2 seconds]\n";
        assert_eq!(Progress::of(log), Progress { ended: 5, failed: 1, all: 12 });
        assert_eq!(Progress::of(""), Progress::default());
    }
}
