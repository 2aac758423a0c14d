//! A host on which an administrator types the commands of a document. Its files are below a folder,
//! and the paths and addresses of the document are replaced by the host's. Its ports are those of the
//! document, because the test has a network of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::artifacts::{Artifact, integration_folder};
use harness::companion::read_map;
use harness::control_plane::{ControlPlane, User};
use harness::envoy::{MAP_GENERATION, stat_in};
use harness::process::{Process, Program};
use harness::skew::NEWER;
use harness::terminal::Terminal;
use harness::transcript::Step;
use harness::wait;
use serde_json::Value;
use tempfile::TempDir;
use wire::client::Client;

/// Folders of a document that are below the host's folder.
const FOLDERS: [&str; 5] = [
    "/etc/mixed-version-proxy",
    "/etc/kubernetes/pki",
    "/usr/local/bin",
    "/usr/lib/mixed-version-proxy",
    "/var/lib/mixed-version-proxy",
];

const ADMIN: u16 = 9901;
const COMPANION: u16 = 9902;

/// Everything is on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// The host; dropping it ends what runs on it.
pub struct Host {
    /// Where commands are typed.
    pub terminal: Terminal,
    programs: Vec<Process>,
    replaced: Vec<(String, String)>,
    // The last: it is removed after all processes have ended.
    folder: TempDir,
}

impl Host {
    /// Returns a host in front of a control plane, with nothing installed.
    pub fn new(plane: &ControlPlane) -> Result<Self> {
        let folder = TempDir::with_prefix("host-")?;
        let root = folder.path();
        let here = |path: &Path| path.to_str().map(str::to_owned).context("not UTF-8");
        let mut replaced = Vec::new();
        for path in FOLDERS {
            fs::create_dir_all(root.join(path.trim_start_matches('/')))?;
            replaced.push((path.to_owned(), format!("{}{path}", here(root)?)));
        }
        for (index, server) in plane.servers().iter().enumerate() {
            let address = format!("127.0.0.1:{}", server.port());
            replaced.push((format!("192.0.2.{}:6443", 11 + index), address));
        }
        replaced.push(("192.0.2.10:6443".to_owned(), "127.0.0.1:6443".to_owned()));
        let filter = Artifact::Filter.path()?;
        for (name, path) in [
            ("target/release/mixed-version-companion", Artifact::Companion.path()?),
            ("target/filter-at-server.wasm", filter.with_file_name("filter-at-server.wasm")),
            ("target/filter.wasm", filter),
            ("/path/to/envoy", Artifact::Envoy.path()?),
        ] {
            replaced.push((name.to_owned(), here(&path)?));
        }
        let terminal = open_terminal(root)?;
        let host = Self { terminal, programs: Vec::new(), replaced, folder };
        host.add_what_administrators_have(plane)?;
        Ok(host)
    }

    /// Returns where a file of the host is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Returns a text of the document as it is on this host.
    pub fn here(&self, text: &str) -> String {
        let replace = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.replaced.iter().fold(text.to_owned(), replace)
    }

    /// Types a command of the document. Returns what it prints.
    pub fn run(&mut self, step: &Step) -> Result<String> {
        self.on_this_host(step).run(&mut self.terminal)
    }

    /// Types a command of the document again until it prints what the document shows.
    pub async fn run_until_it_fits(&mut self, step: &Step) -> Result<String> {
        let step = self.on_this_host(step);
        wait::until(&step.command, DEADLINE, async || step.run(&mut self.terminal)).await
    }

    fn on_this_host(&self, step: &Step) -> Step {
        let here = |text: &String| self.here(text);
        let output = step.output.as_ref().map(|lines| lines.iter().map(here).collect());
        Step { heading: step.heading.clone(), command: here(&step.command), output }
    }

    /// Types the command that installs, in the checkout, and has what it installed name the paths of
    /// this host.
    pub fn install(&mut self, step: &Step) -> Result<()> {
        let checkout = integration_folder().join("..").canonicalize()?;
        self.terminal.run(&format!("cd '{}'", checkout.display()))?;
        self.run(step)?;
        self.terminal.run("cd ~")?;
        for file in ["companion.yaml", "envoy.yaml"] {
            let file = self.path("etc/mixed-version-proxy").join(file);
            fs::write(&file, self.here(&fs::read_to_string(&file)?))?;
        }
        Ok(())
    }

    /// Adds the files that the document lists: certificates, authorities, and the token.
    pub fn add_files(&self, plane: &ControlPlane, token: &str) -> Result<()> {
        let folder = self.path("etc/mixed-version-proxy");
        let tls = folder.join("tls");
        for authority in ["peer-ca.crt", "client-ca.crt"] {
            fs::copy(plane.pki().ca_file(), tls.join(authority))?;
        }
        plane.pki().server("envoy")?.copy_to(&tls, "server")?;
        plane.front_proxy().certificate().copy_to(&tls, "front-proxy-client")?;
        fs::write(folder.join("token"), token)?;
        Ok(())
    }

    /// Adds what administrators have at home and on a control-plane host.
    fn add_what_administrators_have(&self, plane: &ControlPlane) -> Result<()> {
        let (home, pki) = (self.path("home"), self.path("etc/kubernetes/pki"));
        let front_proxy = plane.front_proxy().pki();
        fs::copy(plane.pki().ca_file(), home.join("ca.crt"))?;
        fs::copy(front_proxy.ca_file(), pki.join("front-proxy-ca.crt"))?;
        fs::copy(front_proxy.ca_key_file()?, pki.join("front-proxy-ca.key"))?;
        let admin = plane.certificate(User::KubernetesAdmin).context("no certificate")?;
        admin.copy_to(&home, "admin")
    }

    /// Starts a command of the document in the background.
    pub fn start(&mut self, name: &str, command: &str) -> Result<()> {
        let command = format!("exec env {}", self.here(command));
        let home = self.path("home");
        let program = Program::new(name, "bash", self.path(&format!("{name}.log")))
            .args(["-c", &command])
            .env("PATH", path_of(self.folder.path())?)
            .env("HOME", &home)
            .current_dir(&home);
        self.programs.push(program.spawn()?);
        Ok(())
    }

    /// Waits until a file of the host exists.
    pub async fn wait_for(&mut self, file: &str) -> Result<()> {
        let path = self.path(file);
        let program = self.programs.last_mut().context("nothing runs")?;
        let exists = async || path.exists().then_some(()).context("not yet");
        program.until(file, DEADLINE, exists).await
    }

    /// Waits until the companion has this many peers in rotation, and Envoy has the map.
    pub async fn wait_until_it_serves(&mut self, count: usize) -> Result<()> {
        let (companion, admin) = (Client::plain(COMPANION)?, Client::plain(ADMIN)?);
        let program = self.programs.last_mut().context("nothing runs")?;
        program
            .until("the map", DEADLINE, async || {
                let peers = companion.get("/v1/peers").await?.ok()?.json()?;
                let peers = peers.as_array().context("no list")?;
                let serving = peers
                    .iter()
                    .filter(|peer| peer.get("state").and_then(Value::as_str) == Some("serving"));
                ensure!(serving.count() == count, "{peers:?}");
                // The peers are known before the map that has them is pushed.
                let map = read_map(companion.get("/v1/map").await?.ok()?.json()?)?;
                ensure!(map.rotation.len() == count, "{:?}", map.rotation);
                let live = stat_in(&admin.get("/stats").await?.ok()?.text(), MAP_GENERATION)?;
                ensure!(live >= Some(map.generation), "{live:?} of {}", map.generation);
                anyhow::Ok(())
            })
            .await
    }
}

fn path_of(root: &Path) -> Result<String> {
    let path = std::env::var("PATH")?;
    let root = root.display();
    Ok(format!("{root}/bin:{root}/usr/local/bin:{path}"))
}

/// Opens a terminal at home, with the programs that documents expect.
fn open_terminal(root: &Path) -> Result<Terminal> {
    let (home, bin) = (root.join("home"), root.join("bin"));
    fs::create_dir(&home)?;
    fs::create_dir(&bin)?;
    symlink(Artifact::FuncE.path()?, bin.join("func-e"))?;
    let path = path_of(root)?;
    let token = User::Admin.token().unwrap_or_default();
    let variables =
        [("PATH", path.as_ref()), ("HOME", home.as_os_str()), ("TOKEN", token.as_ref())];
    let mut terminal = Terminal::open(&home, &variables)?;
    let kubectl = Artifact::ControlPlane(NEWER).path()?;
    terminal.run(&format!("kubectl() {{ '{}' kubectl \"$@\"; }}", kubectl.display()))?;
    Ok(terminal)
}
