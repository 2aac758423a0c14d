//! A machine: network, mount and UTS namespaces of its own, connected to the others by a bridge in
//! the test's namespace. `/etc` and `/var/lib` are folders of the test.

use std::fs::{self, File};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use harness::process::{Process, Program};
use nix::sched::{CloneFlags, setns};

/// What becomes of the process that holds the namespaces.
const HOLD: &str = r#"
hostname "$1"
mount --bind "$2/etc" /etc
mount --bind "$2/var-lib" /var/lib
ip link set lo up
touch "$2/ready"
exec sleep infinity
"#;

/// What programs read of `/etc`.
const OF_ETC: [&str; 8] = [
    "alternatives",
    "group",
    "hosts",
    "ld.so.cache",
    "nsswitch.conf",
    "passwd",
    "resolv.conf",
    "ssl/openssl.cnf",
];

/// On a busy machine, each of the programs that make the namespaces takes seconds to start.
const DEADLINE: Duration = Duration::from_secs(60);

/// How long a script may take.
const SCRIPT_SECONDS: &str = "150";

/// The bridge that connects machines.
const BRIDGE: &str = "machines";

/// The address of the test's namespace: the first of those that documents use.
pub const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A machine; dropping it ends its namespaces, but not what still runs in them.
#[derive(Debug)]
pub struct Machine {
    number: u8,
    folder: PathBuf,
    holder: Process,
}

/// Makes the bridge.
pub fn connect_machines() -> Result<()> {
    ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    ip(&["addr", "add", &format!("{OUTSIDE}/24"), "dev", BRIDGE])?;
    ip(&["link", "set", BRIDGE, "up"])
}

impl Machine {
    /// Starts the machine of this number, from 1 on, with its files in a new folder in `folder`.
    pub async fn start(number: u8, folder: &Path) -> Result<Self> {
        let name = format!("cp-{number}");
        let folder = folder.join(&name);
        make_files(&folder)?;
        let holder = Program::new(&name, "unshare", folder.join("holder.log"))
            .args(["--net", "--mount", "--uts", "bash", "-euc", HOLD, "hold", &name])
            .arg(&folder)
            .spawn()?;
        let mut machine = Self { number, folder, holder };
        let ready = machine.folder.join("ready");
        let is_ready = async || ready.exists().then_some(()).context("no namespaces yet");
        machine.holder.until(&name, DEADLINE, is_ready).await?;
        machine.connect()?;
        Ok(machine)
    }

    fn connect(&self) -> Result<()> {
        let (port, holder) = (self.port(), self.holder.pid().to_string());
        let peer = ["type", "veth", "peer", "name", "eth0", "netns", &holder];
        ip(&[&["link", "add", &port][..], &peer].concat())?;
        ip(&["link", "set", &port, "master", BRIDGE, "up"])?;
        let address = self.address();
        self.script(&format!(
            "ip addr add {address}/24 dev eth0; ip link set eth0 up; ip route add default via {OUTSIDE}"
        ))?;
        Ok(())
    }

    /// The name of its end of the cable at the bridge.
    fn port(&self) -> String {
        format!("machine-{}", self.number)
    }

    #[cfg(feature = "slow")]
    /// Pulls the cable, or puts it in again.
    pub fn set_connected(&self, connected: bool) -> Result<()> {
        ip(&["link", "set", &self.port(), if connected { "up" } else { "down" }])
    }

    /// Returns its host name.
    pub fn name(&self) -> String {
        format!("cp-{}", self.number)
    }

    /// Returns its address.
    pub fn address(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10 + self.number))
    }

    /// Returns where a file of its `/etc` is.
    pub fn etc(&self, file: &str) -> PathBuf {
        self.folder.join("etc").join(file)
    }

    /// Returns the folder that has all of it, and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a program available to scripts, or one that prefixes the arguments with another.
    pub fn install(&self, name: &str, program: &Path, argument: Option<&str>) -> Result<()> {
        let place = self.folder.join("bin").join(name);
        let Some(argument) = argument else { return Ok(symlink(program, place)?) };
        fs::write(&place, format!("#!/bin/sh\nexec {} {argument} \"$@\"\n", program.display()))?;
        let status = Command::new("chmod").arg("+x").arg(&place).status()?;
        ensure!(status.success(), "chmod");
        Ok(())
    }

    /// Returns a program that runs on this machine.
    pub fn program(&self, name: &str, path: &Path) -> Program {
        let log = self.folder.join(format!("{name}.log"));
        Program::new(format!("{name} of {}", self.name()), "nsenter", log)
            .args(self.entering())
            .arg(path)
    }

    fn entering(&self) -> [String; 6] {
        let target = format!("--target={}", self.holder.pid());
        [target, "--net".into(), "--mount".into(), "--uts".into(), "--wd=/".into(), "--".into()]
    }

    /// Runs a script of bash, in the checkout's folder; its output.
    pub fn script(&self, script: &str) -> Result<String> {
        self.script_with(script, &[])
    }

    /// The same with these variables.
    pub fn script_with(&self, script: &str, variables: &[(&str, &str)]) -> Result<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.folder.join("bin").display());
        let mut command = Command::new("nsenter");
        command
            .args(self.entering())
            .args(["timeout", SCRIPT_SECONDS, "bash", "-euo", "pipefail", "-c", script])
            .env("PATH", path)
            .env("HOME", self.folder.join("home"))
            .envs(variables.iter().copied());
        let output = tokio::task::block_in_place(|| command.output())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        ensure!(
            output.status.success(),
            "{} on {}:\n{script}\n{out}{error}",
            output.status,
            self.name()
        );
        Ok(out)
    }

    /// Runs what it is given in the machine's network.
    pub async fn inside<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        let network = File::open(format!("/proc/{}/ns/net", self.holder.pid()))?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A namespace is a thread's.
        thread::spawn(move || {
            let result =
                setns(network, CloneFlags::CLONE_NEWNET).map_err(Into::into).and_then(|()| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(work())
                });
            sender.send(result).ok();
        });
        receiver.await.map_err(|_| anyhow!("the thread in the network panicked"))?
    }
}

/// Makes the folders, with copies of what programs read of `/etc`.
fn make_files(folder: &Path) -> Result<()> {
    for name in ["etc/kubernetes/manifests", "etc/ssl", "var-lib", "bin", "home"] {
        fs::create_dir_all(folder.join(name))?;
    }
    for name in OF_ETC {
        let (from, to) = (Path::new("/etc").join(name), folder.join("etc").join(name));
        if from.exists() {
            let status = Command::new("cp").arg("-r").arg("-P").arg(from).arg(to).status()?;
            ensure!(status.success(), "cp of {name}");
        }
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("iproute2")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {error}", arguments.join(" "));
    Ok(())
}
