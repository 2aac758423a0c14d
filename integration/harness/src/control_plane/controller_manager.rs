//! kube-controller-manager, with chosen controllers only.

use std::path::Path;

use anyhow::Result;
use fake_apiserver::Version;
use pki::Pki;
use pki::ports::free_port;

use super::component;
use super::user::User;
use crate::process::Process;

/// The options of a controller manager.
#[derive(Debug, Clone)]
pub struct ControllerManagerOptions {
    /// Its version.
    pub version: Version,
    /// The server to talk to: an API server, or Envoy.
    pub url: String,
    /// Its user, by token or by certificate.
    pub user: User,
    /// The controllers to run, such as `garbage-collector-controller` and
    /// `namespace-controller`.
    pub controllers: Vec<String>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

const NAME: &str = "kube-controller-manager";

/// A running kube-controller-manager.
#[derive(Debug)]
pub struct ControllerManager {
    process: Process,
}

impl ControllerManager {
    /// Starts it and waits until it is healthy.
    pub(super) async fn start(
        options: &ControllerManagerOptions,
        kubeconfig: &Path,
        pki: &Pki,
        folder: &Path,
    ) -> Result<Self> {
        let port = free_port()?;
        let log = folder.join(format!("kube-controller-manager-{port}.log"));
        let mut process = component::program(NAME, options.version, NAME, log)?
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--controllers={}", options.controllers.join(",")))
            .arg("--leader-elect=false")
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={port}"))
            .arg(format!("--cert-dir={}", folder.join("controller-manager-certificates").display()))
            .arg(format!("--root-ca-file={}", pki.ca_file().display()))
            .arg(format!(
                "--service-account-private-key-file={}",
                pki.folder().join("sa.key").display()
            ))
            // The user itself has few permissions: each controller uses a service
            // account of its own.
            .arg("--use-service-account-credentials=true")
            .args(&options.arguments)
            .spawn()?;
        component::wait_until_healthy(&mut process, port).await?;
        Ok(Self { process })
    }

    /// Returns the process, to stop it or read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
