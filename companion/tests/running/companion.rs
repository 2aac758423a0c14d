//! The companion under test, in a directory of its own.

use std::fmt::{self, Write as _};
use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use discovery_map::{Destination, DiscoveryMap, NO_MAP};
use pki::ports::free_port;

use crate::peers::{Authority, Peer};

/// How long a test waits for what is not promised within a time: on a busy machine, the start of a
/// process alone can take ten seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Companion {
    pub directory: tempfile::TempDir,
    pub listen: SocketAddr,
    peers: Vec<(String, SocketAddr)>,
    settings: String,
    child: Option<Child>,
}

impl Companion {
    /// Started, with the peers called a, b, c, …
    pub fn start(authority: &Authority, peers: &[&Peer]) -> Self {
        Self::start_with(authority, peers, "")
    }

    /// Started with more settings (YAML).
    pub fn start_with(authority: &Authority, peers: &[&Peer], settings: &str) -> Self {
        let mut companion = Self::prepare(authority, peers, settings);
        companion.spawn();
        companion
    }

    /// Everything but started.
    pub fn prepare(authority: &Authority, peers: &[&Peer], settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), &authority.pem).unwrap();
        fs::write(directory.path().join("token"), "secret\n").unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let names = ('a'..='z').map(String::from);
        let addresses = peers.iter().map(|peer| peer.address);
        let companion = Self {
            directory,
            listen,
            peers: names.zip(addresses).collect(),
            settings: settings.to_owned(),
            child: None,
        };
        companion.write_config(|config| config);
        companion
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Writes the configuration, changed.
    pub fn write_config(&self, change: impl FnOnce(String) -> String) {
        let root = self.directory.path().display();
        let mut config = format!(
            "listen: {}\nstateDirectory: {root}/state\npeerTls: {{caFile: {root}/ca.pem}}\n\
             credentials: {{tokenFile: {root}/token}}\n\
             envoy: {{directory: {root}/envoy, filterModule: /filter.wasm}}\n{}\npeers:\n  static:\n",
            self.listen, self.settings
        );
        for (name, address) in &self.peers {
            writeln!(config, "  - {{name: {name}, address: '{address}'}}").unwrap();
        }
        let config = change(config);
        fs::write(self.path("config.new"), config).unwrap();
        fs::rename(self.path("config.new"), self.path("config.yaml")).unwrap();
    }

    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mixed-version-companion"));
        command.arg(subcommand).arg("--config").arg(self.path("config.yaml"));
        command
    }

    pub fn check_config(&self) -> Output {
        self.command("check-config").output().unwrap()
    }

    pub fn spawn(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let child = self.command("run").stdin(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// A file that it writes for Envoy; null while it is not there.
    pub fn published(&self, file: &str) -> serde_json::Value {
        let content = fs::read(self.path("envoy").join(file)).unwrap_or_default();
        serde_json::from_slice(&content).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// As `kill -9` does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for the end, which must be a success.
    pub fn wait_for_end(&mut self) {
        let mut child = self.child.take().unwrap();
        let mut status = None;
        within(PATIENCE, "the companion ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// What its endpoint answers: the status and the body.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.listen).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// A metric by its name and labels, without what all names begin with; 0
    /// while there is none.
    pub fn metric(&self, name: &str) -> u64 {
        let (_, metrics) = self.get("/metrics").unwrap_or_default();
        let prefix = format!("mixed_version_companion_{name} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
        value.map_or(0, |value| value.parse().unwrap())
    }

    pub fn wait_until_ready(&self) {
        self.eventually("the companion is ready", || {
            self.get("/readyz").is_some_and(|(status, _)| status == 200)
        });
    }

    /// Waits until the map has the types of every peer. On a slow machine, the first map may lack a
    /// peer whose answer timed out.
    pub fn wait_until_complete(&self) {
        self.wait_until_ready();
        self.eventually("every peer was read", || self.map().is_some_and(|map| map.complete));
    }

    /// The map as Envoy would get it; none while there is none.
    pub fn map(&self) -> Option<DiscoveryMap> {
        let text = self.map_text().filter(|text| text != NO_MAP)?;
        Some(DiscoveryMap::from_json(text.as_bytes()).unwrap())
    }

    /// The same as it travels.
    pub fn map_text(&self) -> Option<String> {
        let response = self.published("ecds.json");
        Some(response.pointer(companion::xds::MAP)?.as_str()?.to_owned())
    }

    /// Where the map sends a type: a cluster, `unavailable` or `unknown`.
    pub fn route(&self, name: &str) -> Option<String> {
        let map = self.map()?;
        let parts: Vec<_> = name.split('/').map(str::as_bytes).collect();
        let route = map.resource(parts[0], parts[1], parts[2], None).map(|found| found.destination);
        Some(match route {
            None => "unknown".to_owned(),
            Some(Destination::Unavailable) => "unavailable".to_owned(),
            Some(Destination::Default) => "all".to_owned(),
            Some(Destination::Cluster(cluster)) => cluster.to_owned(),
        })
    }

    pub fn wait_for_route(&self, name: &str, expected: &str) {
        self.wait_within(PATIENCE, name, expected);
    }

    /// The same for at most twice the two seconds that are promised, because other tests keep the
    /// machine busy.
    pub fn wait_for_route_in_time(&self, name: &str, expected: &str) {
        self.wait_within(Duration::from_secs(4), name, expected);
    }

    fn wait_within(&self, limit: Duration, name: &str, expected: &str) {
        let what = self.told(format!("{name} goes to {expected}"));
        within(limit, what, || self.route(name).as_deref() == Some(expected));
    }

    pub fn eventually(&self, what: &str, condition: impl FnMut() -> bool) {
        within(PATIENCE, self.told(what.to_owned()), condition);
    }

    /// What is waited for, with the log as it is when that is said.
    fn told(&self, what: String) -> impl fmt::Display {
        fmt::from_fn(move |f| write!(f, "{what}\n{}", self.log()))
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Waits for a condition. It is looked at once more after the limit, because this process may have
/// been paused since the last look.
pub fn within(limit: Duration, what: impl fmt::Display, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    loop {
        let is_over = start.elapsed() >= limit;
        if condition() {
            return;
        }
        assert!(!is_over, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
