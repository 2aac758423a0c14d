//! What a kubelet does with static pods, without containers: what the manifests in
//! `/etc/kubernetes/manifests` say runs, with the programs under test in the place of images. A
//! manifest that changes or goes ends its program, and a program that ends is started again. It
//! probes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fake_apiserver::Version;
use harness::artifacts::Artifact;
use harness::process::Process;
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::machine::Machine;

/// A kubelet reads the manifests every 20 seconds, and is told of changes at once.
const INTERVAL: Duration = Duration::from_millis(100);

/// Between the end of a program and its next start.
const BACK_OFF: Duration = Duration::from_secs(1);

/// `terminationGracePeriodSeconds` of a pod that has none.
const GRACE: Duration = Duration::from_secs(30);

/// The static pods of a machine; dropping it kills them.
#[derive(Debug)]
pub struct StaticPods {
    pods: Arc<Mutex<Pods>>,
    kubelet: JoinHandle<()>,
}

#[derive(Debug)]
struct Pods {
    machine: Arc<Machine>,
    all: BTreeMap<String, Pod>,
}

#[derive(Debug)]
struct Pod {
    manifest: String,
    state: State,
    /// Whether it is kept from running.
    held: bool,
}

#[derive(Debug)]
enum State {
    Running(Process),
    Stopping(Process, Instant),
    Down(Instant),
}

impl StaticPods {
    /// Begins to run what the manifests say.
    pub fn start(machine: Arc<Machine>) -> Self {
        let pods = Arc::new(Mutex::new(Pods { machine, all: BTreeMap::new() }));
        let kubelet = tokio::spawn(run(Arc::clone(&pods)));
        Self { pods, kubelet }
    }

    fn lock(&self) -> MutexGuard<'_, Pods> {
        lock(&self.pods)
    }

    /// Sends a signal to a pod's program.
    pub fn signal(&self, pod: &str, signal: Signal) -> Result<()> {
        match &self.lock().pod(pod)?.state {
            State::Running(process) => process.signal(signal),
            state => anyhow::bail!("{pod} does not run: {state:?}"),
        }
    }

    /// Kills a pod's program, and does not start it again.
    pub fn hold(&self, pod: &str) -> Result<()> {
        let mut pods = self.lock();
        let pod = pods.pod(pod)?;
        pod.held = true;
        pod.state = State::Down(Instant::now());
        Ok(())
    }

    /// Lets a pod's program run again.
    pub fn release(&self, pod: &str) -> Result<()> {
        self.lock().pod(pod)?.held = false;
        Ok(())
    }

    /// Returns whether a pod's program runs.
    #[cfg(feature = "slow")]
    pub fn runs(&self, pod: &str) -> bool {
        let running = |pod: &Pod| matches!(pod.state, State::Running(_) | State::Stopping(..));
        self.lock().all.get(pod).is_some_and(running)
    }

    /// Returns the log of a pod's program.
    pub fn log(&self, pod: &str) -> Result<String> {
        let folder = self.lock().machine.folder().join(format!("{pod}.log"));
        Ok(String::from_utf8_lossy(&fs::read(folder)?).into_owned())
    }
}

impl Drop for StaticPods {
    fn drop(&mut self) {
        self.kubelet.abort();
        self.lock().all.clear();
    }
}

fn lock(pods: &Mutex<Pods>) -> MutexGuard<'_, Pods> {
    pods.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(pods: Arc<Mutex<Pods>>) {
    loop {
        // A manifest that is half written is read again.
        if let Err(error) = lock(&pods).step() {
            println!("kubelet: {error:#}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Pods {
    fn pod(&mut self, name: &str) -> Result<&mut Pod> {
        self.all.get_mut(name).with_context(|| format!("there is no pod {name}"))
    }

    /// The manifests by the names of their files.
    fn manifests(&self) -> Result<BTreeMap<String, String>> {
        let mut manifests = BTreeMap::new();
        for entry in fs::read_dir(self.machine.etc("kubernetes/manifests"))? {
            let path = entry?.path();
            if let Some(name) =
                path.file_name().and_then(|name| name.to_str()?.strip_suffix(".yaml"))
            {
                // It may have gone.
                let text = fs::read_to_string(&path).unwrap_or_default();
                if read(&text).is_ok() {
                    manifests.insert(name.to_owned(), text);
                }
            }
        }
        Ok(manifests)
    }

    fn step(&mut self) -> Result<()> {
        let manifests = self.manifests()?;
        for pod in self.all.values_mut() {
            pod.notice_end()?;
        }
        for (name, pod) in &mut self.all {
            if manifests.get(name) != Some(&pod.manifest) {
                pod.stop()?;
            }
        }
        self.all.retain(|name, pod| {
            manifests.contains_key(name) || !matches!(pod.state, State::Down(_))
        });
        for (name, manifest) in manifests {
            let pod = self.all.entry(name.clone()).or_insert_with(|| Pod {
                manifest: manifest.clone(),
                state: State::Down(Instant::now()),
                held: false,
            });
            if let State::Down(from) = pod.state
                && from <= Instant::now()
                && !pod.held
            {
                pod.manifest = manifest;
                pod.state = State::Running(spawn(&self.machine, &name, &pod.manifest)?);
            }
        }
        Ok(())
    }
}

impl Pod {
    fn notice_end(&mut self) -> Result<()> {
        match &mut self.state {
            State::Running(process) => {
                if process.exited()?.is_some() {
                    self.state = State::Down(Instant::now() + BACK_OFF);
                }
            }
            State::Stopping(process, deadline) => {
                if process.exited()?.is_some() || *deadline <= Instant::now() {
                    self.state = State::Down(Instant::now());
                }
            }
            State::Down(_) => (),
        }
        Ok(())
    }

    /// SIGTERM, unless it was sent.
    fn stop(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Down(Instant::now())) {
            State::Running(process) => {
                process.signal(Signal::SIGTERM)?;
                self.state = State::Stopping(process, Instant::now() + GRACE);
            }
            state => self.state = state,
        }
        Ok(())
    }
}

/// The command and the image of a manifest.
fn read(manifest: &str) -> Result<(Vec<String>, String)> {
    let manifest: Value = serde_saphyr::from_str(manifest)?;
    let field = |pointer: &str| manifest.pointer(pointer).cloned().context("no such field");
    let command = serde_json::from_value(field("/spec/containers/0/command")?)?;
    Ok((command, serde_json::from_value(field("/spec/containers/0/image")?)?))
}

fn spawn(machine: &Machine, name: &str, manifest: &str) -> Result<Process> {
    let (command, image) = read(manifest)?;
    let (program, arguments) = command.split_first().context("an empty command")?;
    let (path, first) = program_of(program, &image)?;
    machine.program(name, &path).args(first).args(arguments).spawn()
}

/// What stands for a program in an image, and its first argument.
fn program_of(name: &str, image: &str) -> Result<(PathBuf, Option<String>)> {
    let name = name.rsplit('/').next().unwrap_or(name);
    Ok(match name {
        "envoy" => (Artifact::Envoy.path()?, None),
        "mixed-version-companion" => (Artifact::Companion.path()?, None),
        _ => {
            let version = image.rsplit_once(":v").context("an image without a version")?.1;
            let minor = version.rsplit_once('.').context("no patch version")?.0;
            (Artifact::ControlPlane(minor.parse::<Version>()?).path()?, Some(name.to_owned()))
        }
    })
}
