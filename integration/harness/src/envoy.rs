//! Envoy, started through func-e with a bootstrap of the test's choice.
//!
//! Ports in the bootstrap should be 0: Envoy then uses free ones, and
//! [`Envoy::listener_port`] returns them. The bootstrap must have an admin
//! address.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wire::client::Client;

use crate::artifacts::Artifact;
use crate::clusters::Clusters;
use crate::process::{Process, Program};
use crate::wait;

/// Envoy starts in a fraction of a second; compiling the filter takes longer.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// func-e waits for Envoy's own end.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// So many pauses in a row without traffic mean that buffers are full, and not that the machine is busy.
const PAUSES: u32 = 3;

/// The gauge with the generation of the map that Envoy's workers use.
pub const MAP_GENERATION: &str = "wasmcustom.mixed_version_proxy_map_generation";

/// The counter of bytes that Envoy has received from the servers of the cluster of the rotation.
pub const FROM_SERVERS: &str = "cluster.kube-apiserver.upstream_cx_rx_bytes_total";

/// Returns the counter or gauge of exactly this name in what `/stats` of an admin interface says.
/// Fails if its value is not a number.
pub fn stat_in(stats: &str, name: &str) -> Result<Option<u64>> {
    let value = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Ok(value.map(str::parse).transpose()?)
}

/// The options of an Envoy.
#[derive(Debug, Clone)]
pub struct EnvoyOptions {
    /// The bootstrap, as YAML.
    pub bootstrap: String,
    /// The folder that Envoy runs in, which relative paths in the bootstrap
    /// refer to. Its logs are written to it as well.
    pub folder: PathBuf,
    /// The number of worker threads.
    pub concurrency: u32,
    /// Further arguments of Envoy, such as `--component-log-level wasm:debug`.
    pub arguments: Vec<String>,
}

impl EnvoyOptions {
    /// Envoy with two workers in `folder`.
    pub fn new(bootstrap: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        let (bootstrap, folder) = (bootstrap.into(), folder.into());
        Self { bootstrap, folder, concurrency: 2, arguments: Vec::new() }
    }

    /// Envoy with the bootstrap in `file`. Fails if the file cannot be read.
    pub fn from_file(file: &Path, folder: impl Into<PathBuf>) -> Result<Self> {
        let bootstrap =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self::new(bootstrap, folder))
    }

    /// Replaces text in the bootstrap, such as a fixed port by 0. Fails if
    /// `from` is not in it, because the test would then test something else.
    pub fn replacing(mut self, from: &str, to: &str) -> Result<Self> {
        self.bootstrap = replaced(&self.bootstrap, from, to)?;
        Ok(self)
    }

    /// Sets the number of worker threads.
    #[must_use]
    pub fn concurrency(mut self, concurrency: u32) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Adds an argument of Envoy.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// Returns a shipped configuration with other text. Fails if `from` is not in it.
pub(crate) fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "the shipped configuration does not have {from:?}");
    Ok(text.replace(from, to))
}

/// A running Envoy; dropping it ends it.
#[derive(Debug)]
pub struct Envoy {
    options: EnvoyOptions,
    process: Process,
    admin_port: u16,
    client: Client,
}

impl Envoy {
    /// Starts Envoy and waits until its admin says that it is ready, which
    /// includes that clusters and filters have come from their sources. Fails
    /// if it ends or does not become ready; the message shows the end of its
    /// log.
    pub async fn start(options: EnvoyOptions) -> Result<Self> {
        let mut envoy = Self::spawn(options).await?;
        envoy.wait_ready().await?;
        Ok(envoy)
    }

    /// Starts Envoy and waits only until its admin answers, for tests in which
    /// it must not become ready. Fails if it ends, such as for a bootstrap that
    /// it refuses.
    pub async fn spawn(options: EnvoyOptions) -> Result<Self> {
        let folder = &options.folder;
        fs::create_dir_all(folder)?;
        let bootstrap = folder.join("bootstrap.yaml");
        fs::write(&bootstrap, &options.bootstrap)?;
        let admin_file = folder.join("admin-address");
        if admin_file.exists() {
            fs::remove_file(&admin_file)?;
        }
        let home = folder.join("func-e");
        let mut process = Program::new("envoy", Artifact::FuncE.path()?, folder.join("envoy.log"))
            .current_dir(folder)
            .env("ENVOY_PATH", Artifact::Envoy.path()?)
            .env("FUNC_E_CONFIG_HOME", home.join("config"))
            .env("FUNC_E_DATA_HOME", home.join("data"))
            .env("FUNC_E_STATE_HOME", home.join("state"))
            .env("FUNC_E_RUNTIME_DIR", home.join("run"))
            .args(["run", "--config-path"])
            .arg(&bootstrap)
            .arg("--admin-address-path")
            .arg(&admin_file)
            .args(["--concurrency".to_owned(), options.concurrency.to_string()])
            // As shipped: otherwise an Envoy that is killed leaves shared memory behind.
            .arg("--disable-hot-restart")
            .args(&options.arguments)
            .spawn()?;
        let admin_port = process.until("Envoy's admin", READY_DEADLINE, async || {
            let address = fs::read_to_string(&admin_file).context("no admin address yet")?;
            let port = address.rsplit(':').next().unwrap_or_default();
            port.trim().parse::<u16>().context("no port in the admin address yet")
        });
        let admin_port = admin_port.await?;
        Ok(Self { options, process, admin_port, client: Client::plain(admin_port)? })
    }

    /// Waits until Envoy is ready. Fails if it ends or does not become ready;
    /// the message shows the end of its log.
    pub async fn wait_ready(&mut self) -> Result<()> {
        self.process.until_ok(&self.client, "/ready", READY_DEADLINE).await
    }

    /// func-e's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Envoy's own process id, to measure what it uses; the process of this
    /// handle is func-e. Fails if it has ended.
    pub fn pid(&self) -> Result<u32> {
        let parent = self.process.pid();
        // func-e may fork from any of its threads.
        let child = fs::read_dir(format!("/proc/{parent}/task"))?.find_map(|task| {
            let children = fs::read_to_string(task.ok()?.path().join("children")).ok()?;
            children.split_whitespace().next()?.parse().ok()
        });
        child.context("func-e has no Envoy")
    }

    /// Returns what Envoy was started with.
    pub fn options(&self) -> &EnvoyOptions {
        &self.options
    }

    /// Returns the port of the admin interface.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// GET of an admin path; the body of a success. Fails if it is refused.
    pub async fn admin(&self, path: &str) -> Result<String> {
        let answer = self.client.get(path).await?.ok();
        Ok(answer.with_context(|| format!("{path} of Envoy's admin"))?.text())
    }

    /// Returns its clusters and their hosts. Fails if the admin does not answer.
    pub async fn clusters(&self) -> Result<Clusters> {
        Clusters::read(&self.client).await
    }

    /// Returns the port that the listener `name` got. Fails if there is no such
    /// listener.
    pub async fn listener_port(&self, name: &str) -> Result<u16> {
        let listeners: Value = serde_json::from_str(&self.admin("/listeners?format=json").await?)?;
        let statuses = listeners.get("listener_statuses").and_then(Value::as_array);
        let status = statuses
            .into_iter()
            .flatten()
            .find(|status| status.get("name").and_then(Value::as_str) == Some(name));
        let port = status
            .and_then(|status| status.pointer("/local_address/socket_address/port_value"))
            .and_then(Value::as_u64)
            .with_context(|| format!("Envoy has no listener {name:?}"))?;
        Ok(u16::try_from(port)?)
    }

    /// Returns the address of the TLS listener `name`. Fails if there is no
    /// such listener.
    pub async fn url(&self, name: &str) -> Result<String> {
        Ok(format!("https://127.0.0.1:{}", self.listener_port(name).await?))
    }

    /// Returns the counter or gauge of exactly this name; `None` when Envoy has
    /// none (it makes some when they are first used). Fails if the admin does
    /// not answer.
    pub async fn stat(&self, name: &str) -> Result<Option<u64>> {
        stat_in(&self.admin("/stats").await?, name)
    }

    /// Returns the memory that it has allocated at this moment, in bytes; the statistic of that is some
    /// seconds old. Fails if the admin does not answer.
    pub async fn allocated_bytes(&self) -> Result<u64> {
        let memory: Value = serde_json::from_str(&self.admin("/memory").await?)?;
        let allocated = memory.get("allocated").and_then(Value::as_str).context("no allocated")?;
        Ok(allocated.parse()?)
    }

    /// Waits until a counter of received bytes is at least `least`, and grows by less than `more`
    /// in each of [`PAUSES`] pauses: buffers are full. Fails if that does not happen within `limit`.
    pub async fn wait_full(
        &self,
        counter: &str,
        (least, more): (u64, u64),
        pause: Duration,
        limit: Duration,
    ) -> Result<()> {
        let received = async || anyhow::Ok(self.stat(counter).await?.unwrap_or_default());
        wait::until("buffers to be full", limit, async || {
            let mut before = received().await?;
            ensure!(before >= least, "{before} bytes came");
            for _ in 0..PAUSES {
                tokio::time::sleep(pause).await;
                let after = received().await?;
                let came = after - before;
                ensure!(came < more, "{before} bytes came, then {came} more");
                before = after;
            }
            anyhow::Ok(())
        })
        .await
    }

    /// Returns all metrics in Prometheus' format. Fails if the admin does not
    /// answer.
    pub async fn prometheus(&self) -> Result<String> {
        self.admin("/stats/prometheus").await
    }

    /// Returns the sum of all samples of the Prometheus metric `name` whose
    /// labels contain all of `labels` (such as `decision="skewed"`). Fails if
    /// the admin does not answer.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let text = self.prometheus().await?;
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labeled, value) = rest.rsplit_once(' ')?;
            let same_name = labeled.is_empty() || labeled.starts_with('{');
            let has_labels = labels.iter().all(|label| labeled.contains(label));
            (same_name && has_labels).then(|| value.parse::<f64>().ok()).flatten()
        });
        Ok(samples.sum())
    }

    /// Returns what Envoy has been configured with. Fails if the admin does not
    /// answer.
    pub async fn config_dump(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.admin("/config_dump?include_eds").await?)?)
    }

    /// Ends it gracefully. Fails if it does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        self.process.terminate(STOP_DEADLINE).await?;
        Ok(())
    }

    /// Ends it and starts it again; ports that were 0 in the bootstrap change.
    /// Fails if it does not end, or does not become ready.
    pub async fn restart(self) -> Result<Self> {
        let options = self.options.clone();
        self.stop().await?;
        Self::start(options).await
    }
}
