//! The files that are used while the demo stays up: addresses, credentials, and the companion's
//! configuration, which may be edited.
//!
//! ```text
//!   env                      addresses, as variables of a shell
//!   curl.conf, kubeconfig    credentials, for curl and kubectl
//!   companion/companion.yaml the companion's configuration
//!   published/               what the companion publishes for Envoy
//!   companion/, envoy/       logs
//!   bin/                     kubectl-skew, built when it is called, and wait-for-mode for the tutorial
//! ```

use std::fmt::Write as _;
use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use harness::artifacts::integration_folder;
use harness::kubeconfig;
use harness::stack::Stack;
use serde_json::Value;

use super::peers::Peers;
use super::story::Kinds;

/// The folder of the files, which no other demo uses while this exists.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    _lock: File,
}

impl Files {
    /// Makes the folder, without what was in it. Fails if another demo uses it.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        // Beside the folder, which is removed.
        let lock = File::create(folder.with_added_extension("lock"))?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                bail!("another demo uses {}: stop it, or use --folder", folder.display())
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        fs::remove_dir_all(&folder)?;
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Returns the folder, by its absolute path.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the files for a running demo; `env` is the last. Fails if one cannot be written.
    pub fn write(&self, peers: &Peers, stack: &Stack, kinds: &Kinds) -> Result<()> {
        let access = peers.access()?;
        let user = kubeconfig::by_token(Some(access.token));
        kubeconfig::write(&self.folder.join("kubeconfig"), &stack.url(), &access.ca, &user)?;
        let curl = format!(
            "silent\ncacert = \"{}\"\nheader = \"Authorization: Bearer {}\"\n",
            access.ca.display(),
            access.token
        );
        fs::write(self.folder.join("curl.conf"), curl)?;
        fs::create_dir(self.folder.join("bin"))?;
        self.write_script("wait-for-mode", include_str!("wait-for-mode.sh"))?;
        // Most who watch the demo never call kubectl-skew, which takes long to build.
        let tools = integration_folder().join("../tools");
        let tools = tools.display();
        let kubectl_skew = format!(
            "#!/bin/sh\nprogram=\"${{MVP_KUBECTL_SKEW:-$('{tools}/kubectl-skew')}}\" && exec \"$program\" \"$@\"\n"
        );
        self.write_script("kubectl-skew", &kubectl_skew)?;

        // JSON is YAML, but YAML is easier to edit.
        let config: Value =
            serde_json::from_str(&fs::read_to_string(stack.companion.config_file())?)?;
        stack.companion.write_config(&serde_saphyr::to_string(&config)?)?;
        let env = self.env(peers, stack, kinds)?;
        fs::write(self.folder.join("env"), env).context("env")
    }

    fn write_script(&self, name: &str, text: &str) -> Result<()> {
        let script = self.folder.join("bin").join(name);
        fs::write(&script, text)?;
        Ok(fs::set_permissions(&script, Permissions::from_mode(0o755))?)
    }

    /// Returns the variables.
    fn env(&self, peers: &Peers, stack: &Stack, kinds: &Kinds) -> Result<String> {
        let folder = self.folder.display();
        let mut env = format!("export PATH='{folder}/bin':\"$PATH\"\n");
        let mut set = |name: &str, value: String| writeln!(env, "export {name}='{value}'");
        set("KUBECONFIG", format!("{folder}/kubeconfig"))?;
        set("ENVOY", stack.url())?;
        set("ADMIN", format!("http://127.0.0.1:{}", stack.envoy.admin_port()))?;
        set("COMPANION", format!("http://127.0.0.1:{}", stack.companion.port()))?;
        for (name, address) in peers.addresses() {
            set(&name.to_uppercase().replace('-', "_"), format!("https://{address}"))?;
        }
        set("SKEWED", kinds.skewed.clone())?;
        Ok(env)
    }
}
