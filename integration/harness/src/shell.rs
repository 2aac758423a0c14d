//! A shell in which an administrator types commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::artifacts::Artifact;
use crate::skew::NEWER;

/// A shell in a folder, with kubectl.
#[derive(Debug)]
pub struct Shell {
    folder: PathBuf,
    kubeconfig: PathBuf,
}

impl Shell {
    /// Returns a shell whose kubectl has this kubeconfig. Fails if the folder cannot be written.
    pub fn new(folder: &Path, kubeconfig: PathBuf) -> Result<Self> {
        fs::create_dir_all(folder.join("bin"))?;
        let shell = Self { folder: folder.to_owned(), kubeconfig };
        let kubectl = Artifact::ControlPlane(NEWER).path()?;
        shell.add_program("kubectl", &format!("{} kubectl", kubectl.display()))?;
        Ok(shell)
    }

    /// Adds a program that runs a command with the arguments that it gets.
    pub fn add_program(&self, name: &str, command: &str) -> Result<()> {
        let path = self.folder.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
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

    /// Returns the folder in which commands run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
