//! Types commands, as an administrator of the hosting cluster does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use harness::artifacts::{Artifact, integration_folder};
use harness::control_plane::{ControlPlane, User};
use harness::shell::Shell;
use serde_json::Value;

/// A shell in a folder with the files that the document names.
pub struct Commands {
    shell: Shell,
}

impl Commands {
    pub fn new(plane: &ControlPlane, folder: &Path) -> Result<Self> {
        let kubeconfig = plane.kubeconfig(&plane.server(1)?.url(), User::Admin)?;
        let shell = Shell::new(folder, kubeconfig)?;
        shell.add_program("helm", &Artifact::Helm.path()?.display().to_string())?;
        let front_proxy = plane.front_proxy().pki();
        for (name, pki) in [("ca", plane.pki()), ("front-proxy-ca", front_proxy)] {
            fs::copy(pki.ca_file(), folder.join(format!("{name}.crt")))?;
            fs::copy(pki.ca_key_file()?, folder.join(format!("{name}.key")))?;
        }
        symlink(integration_folder().join("../charts"), folder.join("charts"))?;
        Ok(Self { shell })
    }

    /// Runs a command, and returns what it prints. Fails if it fails, or warns of something.
    pub fn run(&self, command: &str) -> Result<String> {
        self.shell.run(command)
    }

    /// Creates or changes an object.
    pub fn apply(&self, object: &Value) -> Result<()> {
        fs::write(self.shell.folder().join("object.json"), object.to_string())?;
        self.run("kubectl apply -f object.json")?;
        Ok(())
    }
}
