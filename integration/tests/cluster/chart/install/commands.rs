//! Types commands, as an administrator of the hosting cluster does.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use harness::artifacts::{Artifact, integration_folder};
use harness::control_plane::{ControlPlane, User};
use harness::skew::NEWER;
use serde_json::Value;

/// A shell in a folder with the files that the document names.
pub struct Commands {
    folder: PathBuf,
    kubeconfig: PathBuf,
}

impl Commands {
    pub fn new(plane: &ControlPlane, folder: &Path) -> Result<Self> {
        let bin = folder.join("bin");
        fs::create_dir_all(&bin)?;
        let kubectl = Artifact::ControlPlane(NEWER).path()?;
        program(&bin.join("kubectl"), &format!("{} kubectl", kubectl.display()))?;
        program(&bin.join("helm"), &Artifact::Helm.path()?.display().to_string())?;
        let front_proxy = plane.front_proxy().pki();
        for (name, pki) in [("ca", plane.pki()), ("front-proxy-ca", front_proxy)] {
            fs::copy(pki.ca_file(), folder.join(format!("{name}.crt")))?;
            fs::copy(pki.ca_key_file()?, folder.join(format!("{name}.key")))?;
        }
        symlink(integration_folder().join("../charts"), folder.join("charts"))?;
        let kubeconfig = plane.kubeconfig(&plane.server(1)?.url(), User::Admin)?;
        Ok(Self { folder: folder.to_owned(), kubeconfig })
    }

    /// Runs a command, and returns what it prints. Fails if it fails, or warns of something.
    pub fn run(&self, command: &str) -> Result<String> {
        let path = std::env::var("PATH")?;
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", self.folder.join("bin").display()))
            .env("HOME", &self.folder)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .context("sh")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command}: {said}");
        ensure!(!said.to_lowercase().contains("warn"), "{command}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Creates or changes an object.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let file = self.folder.join("object.json");
        fs::write(&file, object.to_string())?;
        self.run(&format!("kubectl apply -f {}", file.display()))?;
        Ok(())
    }
}

fn program(path: &Path, command: &str) -> Result<()> {
    fs::write(path, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}
