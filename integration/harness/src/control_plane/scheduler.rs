//! kube-scheduler.

use std::path::Path;

use anyhow::Result;
use fake_apiserver::Version;
use pki::ports::free_port;

use super::component;
use crate::process::Process;

const NAME: &str = "kube-scheduler";

/// A running kube-scheduler; dropping it ends it.
#[derive(Debug)]
pub struct Scheduler {
    process: Process,
}

impl Scheduler {
    /// Starts it and waits until it is healthy.
    pub(super) async fn start(version: Version, kubeconfig: &Path, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let log = folder.join(format!("kube-scheduler-{port}.log"));
        let mut process = component::program(NAME, version, NAME, log)?
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg("--leader-elect=false")
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={port}"))
            .arg(format!("--cert-dir={}", folder.join("scheduler-certificates").display()))
            .spawn()?;
        component::wait_until_healthy(&mut process, port).await?;
        Ok(Self { process })
    }

    /// Returns the process, to stop it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
