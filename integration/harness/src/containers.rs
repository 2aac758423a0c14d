//! Images as a cluster runs them, without a container engine: a registry on loopback, and containers
//! of what was pulled from it.
//!
//! ```text
//!   image layouts ── tools/publish ──▶ registry ── crane ──▶ root folder + configuration
//!                                                                 │ namespaces, read-only root,
//!                                                                 ▼ the image's user and command
//!                                                              process
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wire::client::Client;

use crate::artifacts::{Artifact, integration_folder};
use crate::process::{Process, Program};

/// It starts at once, but many tests may share two cores.
const DEADLINE: Duration = Duration::from_secs(30);

/// The port of the registry, in the network namespace of the test.
const PORT: u16 = 5000;

/// Makes `$1` the root, read-only, with the volumes `$3…` up to `--` (`SOURCE:PLACE`), and runs the
/// rest as the user `$2`, who has no rights. A runtime makes the folders of volumes, too.
const CONTAINER: &str = r#"
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mkdir -p "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    [ ! -d "${1%%:*}" ] || mkdir -p "$root${1#*:}"
    mount --bind "${1%%:*}" "$root${1#*:}"
    shift
done
shift
mount -o remount,bind,ro "$root"
# In a user namespace of one user only, there is no other user to become.
if [ "$(awk '{ print $3 }' /proc/self/uid_map)" -gt "${user%%:*}" ]; then
    exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
else
    exec unshare --user --map-user="${user%%:*}" --map-group="${user##*:}" --root="$root" --wd=/ "$@"
fi
"#;

/// A registry; dropping it ends it. The test runs in a network namespace
/// ([`crate::namespace`]).
#[derive(Debug)]
pub struct Registry {
    folder: PathBuf,
    _process: Process,
}

/// An image that was pulled.
#[derive(Debug)]
pub struct Image {
    /// The files.
    pub root: PathBuf,
    /// The name and digest by which it was pulled.
    pub name: String,
    /// What the image's configuration says of its processes.
    config: Value,
}

/// A running container; dropping it kills it.
#[derive(Debug)]
pub struct Container {
    /// The process that waits for it.
    pub process: Process,
}

impl Registry {
    /// Starts an empty registry with its files in `folder`. Fails if it does not answer.
    pub async fn start(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(folder.join("blobs"))?;
        let mut process =
            Program::new("registry", Artifact::Crane.path()?, folder.join("registry.log"))
                .args(["registry", "serve", "--address", &format!("127.0.0.1:{PORT}"), "--disk"])
                .arg(folder.join("blobs"))
                .spawn()?;
        process.until_ok(&Client::plain(PORT)?, "/v2/", DEADLINE).await?;
        Ok(Self { folder, _process: process })
    }

    /// Pushes all images in a folder of image layouts, as a release does. Returns their names with
    /// tags and digests. Fails if one cannot be pushed.
    pub fn publish(&self, layouts: &Path) -> Result<Vec<String>> {
        let tool = integration_folder().join("../tools/publish");
        let names = output(
            Command::new(tool).arg("--unsigned").arg(layouts).arg(format!("localhost:{PORT}/test")),
        )?;
        Ok(String::from_utf8(names)?.lines().map(str::to_owned).collect())
    }

    /// Pulls an image by its name and digest, and unpacks it. Fails if it is not there, or damaged.
    pub fn pull(&self, name: &str) -> Result<Image> {
        let crane = Artifact::Crane.path()?;
        let root = self.folder.join(name.replace(['/', ':'], "_"));
        fs::create_dir_all(&root)?;
        let archive = root.with_extension("tar");
        output(Command::new(&crane).args(["export", name]).arg(&archive))?;
        output(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&root))?;
        fs::remove_file(archive)?;
        let config = output(Command::new(&crane).args(["config", name]))?;
        let config: Value = serde_json::from_slice(&config)?;
        let config = config.get("config").cloned().unwrap_or_default();
        Ok(Image { root, name: name.to_owned(), config })
    }

    /// Returns the layer of this media type of a manifest that has one. Fails if there is none.
    pub fn layer(&self, name: &str, media_type: &str) -> Result<Vec<u8>> {
        let crane = Artifact::Crane.path()?;
        let manifest = output(Command::new(&crane).args(["manifest", name]))?;
        let manifest: Value = serde_json::from_slice(&manifest)?;
        let layers = manifest.get("layers").and_then(Value::as_array).context("no layers")?;
        let layer = layers
            .iter()
            .find(|layer| layer.get("mediaType").and_then(Value::as_str) == Some(media_type))
            .with_context(|| format!("{name} has no layer {media_type}: {manifest}"))?;
        let digest = layer.get("digest").and_then(Value::as_str).context("no digest")?;
        let repository = name.split(['@']).next().unwrap_or(name);
        let repository =
            repository.rsplit_once(':').map_or(repository, |(repository, _)| repository);
        output(Command::new(crane).arg("blob").arg(format!("{repository}@{digest}")))
    }
}

impl Image {
    /// Starts what the image says, as the user that it says, on a read-only root. Volumes are pairs of
    /// a file or folder and its place in the container. Fails if the image names no user or command.
    pub fn run(&self, log: &Path, volumes: &[(&Path, &str)]) -> Result<Container> {
        let user = self.config.get("User").and_then(Value::as_str).context("no user")?;
        let words = ["Entrypoint", "Cmd"]
            .into_iter()
            .filter_map(|field| self.config.get(field)?.as_array());
        let command: Vec<&str> = words.flatten().filter_map(Value::as_str).collect();
        ensure!(!command.is_empty(), "{} has no command", self.name);
        let volumes = volumes.iter().map(|(source, place)| format!("{}:{place}", source.display()));
        let process = Program::new(&self.name, "unshare", log)
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--",
                "sh",
                "-euc",
                CONTAINER,
                "container",
            ])
            .arg(&self.root)
            .arg(user)
            .args(volumes)
            .arg("--")
            .args(command)
            .spawn()?;
        Ok(Container { process })
    }
}

impl Container {
    /// Returns the folder in `/proc` of the process in the container. Fails if it has ended.
    pub fn proc(&self) -> Result<PathBuf> {
        let parent = self.process.pid();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))?;
        let child = children.split_whitespace().next().context("the container has ended")?;
        Ok(Path::new("/proc").join(child))
    }
}

/// Runs a command. Returns what it writes to its standard output. Fails if it fails, with what it says.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
