//! The companion as a process, with the test's configuration.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::{DiscoveryMap, DocumentForm};
use nix::sys::signal::Signal;
use serde_json::Value;
use wire::client::{Answer, Client};

use crate::artifacts::Artifact;
use crate::process::{Process, Program};
use crate::wait;

/// It starts in milliseconds, but many tests may share two cores.
const DEADLINE: Duration = Duration::from_secs(30);

/// A group-version that Kubernetes 1.35 and 1.36 list alike, but store one resource of in different
/// versions.
pub const STORAGE: &str = "/apis/storage.k8s.io/v1";

/// Returns whether the map of a fake 1.35 and a fake 1.36 has their storage versions. The companion
/// reads these last, and no other map follows by itself: fake API servers have no OpenAPI documents
/// to merge.
pub(crate) fn has_storage_versions(map: &DiscoveryMap) -> bool {
    map.document(STORAGE.as_bytes(), DocumentForm::Plain).is_some()
}

/// Returns the map in an answer of `/v1/map`, which may have the filter's configuration around it.
pub fn map_in(answer: Value) -> Value {
    answer.get("map").cloned().unwrap_or(answer)
}

/// Reads the map in an answer of `/v1/map`. Fails if it is not valid.
pub fn read_map(answer: Value) -> Result<DiscoveryMap> {
    Ok(DiscoveryMap::from_json(&serde_json::to_vec(&map_in(answer))?)?)
}

/// The options of a companion.
#[derive(Debug, Clone)]
pub struct CompanionOptions {
    /// The configuration, as YAML.
    pub config: String,
    /// The port of its HTTP endpoint, as `config` says.
    pub port: u16,
    /// The folder for the configuration file and the log; the companion runs
    /// in it.
    pub folder: PathBuf,
}

/// A companion, running or not; dropping it kills it.
#[derive(Debug)]
pub struct Companion {
    command: &'static str,
    options: CompanionOptions,
    client: Client,
    process: Option<Process>,
}

impl Companion {
    /// Starts it and waits until `/healthz` answers. Fails if it ends or does
    /// not answer; the message shows the end of its log.
    pub async fn start(options: CompanionOptions) -> Result<Self> {
        Self::start_as("run", options).await
    }

    /// Starts a mirror in its place, with the configuration of one.
    pub async fn start_mirror(options: CompanionOptions) -> Result<Self> {
        Self::start_as("mirror", options).await
    }

    async fn start_as(command: &'static str, options: CompanionOptions) -> Result<Self> {
        let client = Client::plain(options.port)?;
        let mut companion = Self { command, options, client, process: None };
        companion.write_config(&companion.options.config)?;
        companion.start_again().await?;
        Ok(companion)
    }

    /// Starts it again after [`Self::kill_9`] or [`Self::stop`]. Fails if it
    /// runs, or does not become healthy.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the companion runs already");
        let folder = &self.options.folder;
        let program =
            Program::new("companion", Artifact::Companion.path()?, folder.join("companion.log"))
                .current_dir(folder)
                .arg(self.command)
                .arg("--config")
                .arg(self.config_file());
        let process = self.process.insert(program.spawn()?);
        process.until_ok(&self.client, "/healthz", DEADLINE).await
    }

    /// Returns the port of its HTTP endpoint.
    pub fn port(&self) -> u16 {
        self.options.port
    }

    /// Returns the file of its configuration.
    pub fn config_file(&self) -> PathBuf {
        self.options.folder.join("companion.yaml")
    }

    /// Replaces the configuration file, which the companion notices by itself.
    /// Fails if it cannot be written.
    pub fn write_config(&self, config: &str) -> Result<()> {
        fs::create_dir_all(&self.options.folder)?;
        let new = self.options.folder.join("companion.yaml.new");
        fs::write(&new, config)?;
        Ok(fs::rename(new, self.config_file())?)
    }

    /// Returns the process, unless it was stopped.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Tells it to read its configuration again. Fails if it does not run.
    pub fn reload(&self) -> Result<()> {
        let process = self.process.as_ref().context("the companion does not run")?;
        process.signal(Signal::SIGHUP)
    }

    /// Kills it at once.
    pub fn kill_9(&mut self) {
        self.process = None;
    }

    /// Ends it gracefully. Fails if it does not end in time.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate(DEADLINE).await?;
        }
        Ok(())
    }

    /// GET of its HTTP endpoint. Fails if it does not answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.client.get(path).await
    }

    /// Returns a JSON document of its HTTP endpoint, such as `/v1/map`. Fails
    /// if the answer is not a success with JSON.
    pub async fn json(&self, path: &str) -> Result<Value> {
        let answer = self.get(path).await?.ok();
        answer.with_context(|| format!("{path} of the companion"))?.json()
    }

    /// Returns the map that it pushed last, which it has at this path. Fails if there is none.
    pub async fn map(&self, path: &str) -> Result<DiscoveryMap> {
        read_map(self.json(path).await?)
    }

    /// Returns a counter or gauge, by its name and labels without `mixed_version_companion_`. Fails if
    /// there is none.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        let text = self.get("/metrics").await?.ok()?.text();
        let prefix = format!("mixed_version_companion_{name} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
        Ok(value.with_context(|| format!("no metric {name}"))?.parse()?)
    }

    /// Waits until the map of a fake 1.35 and a fake 1.36, which the companion has at this path, has
    /// their storage versions: these come last. Fails if that does not happen in time.
    pub async fn wait_for_storage_versions(&self, path: &str) -> Result<()> {
        wait::until("storage versions", DEADLINE, async || {
            let map = self.map(path).await?;
            ensure!(has_storage_versions(&map), "not in generation {}", map.generation);
            anyhow::Ok(())
        })
        .await
    }

    /// Waits until `/readyz` answers 200: something was published. Fails if
    /// that does not happen in time.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let process = self.process.as_mut().context("the companion does not run")?;
        process.until_ok(&self.client, "/readyz", DEADLINE).await
    }
}
