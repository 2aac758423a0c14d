//! Control-plane nodes as kubeadm makes them, on machines of their own: its certificates,
//! kubeconfigs and static pods, with the files of `envoy-config/control-plane-node`, by the commands
//! of `docs/kubeadm.md`.

#[cfg(feature = "slow")]
use std::cell::Cell;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::DiscoveryMap;
use fake_apiserver::Version;
use harness::artifacts::Artifact;
use harness::companion::read_map;
use harness::document::Document;
use harness::envoy::{MAP_GENERATION, stat_in};
use harness::process::{Process, Program};
use harness::skew::NEWER;
use harness::wait;
use pki::CertificateFiles;
use serde_json::{Value, json};
use tempfile::TempDir;
use wire::client::{Answer, Client, ClientOptions, Http};

use super::machine::{self, Machine, OUTSIDE};
use super::static_pods::StaticPods;

/// The port that clients use, and the pass-through port.
pub const CLIENTS: u16 = 6443;
pub const PASS_THROUGH: u16 = 6444;

/// Ports on a node's loopback: Envoy's admin interface, and the companion.
const ADMIN: u16 = 9901;
const COMPANION: u16 = 9902;

/// Until a server, or what is in front of it, works: on a busy machine, three servers that start at
/// once take minutes.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Which files of the first node the others get, as `kubeadm init --upload-certs` shares them.
const SHARED: [&str; 6] =
    ["ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key"];

const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// Whether Envoy is on the nodes from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// It is.
    Envoy,
    /// kubeadm's own pods only.
    #[cfg(feature = "slow")]
    KubeadmOnly,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    // The first field: pods go before their machine.
    /// What runs on it.
    pub pods: StaticPods,
    /// Itself.
    pub machine: Arc<Machine>,
    /// The version of its API server.
    pub version: Version,
    /// The port of its entry in `PEERS`.
    pub port: u16,
}

/// Nodes that share an etcd; dropping it ends everything.
#[derive(Debug)]
pub struct Nodes {
    pub(super) all: Vec<Node>,
    _etcd: Process,
    /// The commands.
    pub document: Document,
    pub(super) with: With,
    /// Arguments of API servers, for the next manifests.
    pub(super) arguments: Vec<(&'static str, &'static str)>,
    /// How many commands of the document were run.
    #[cfg(feature = "slow")]
    pub commands_run: Cell<usize>,
    // The last: it is removed after all processes have ended.
    folder: TempDir,
}

impl Nodes {
    /// Starts a node of each version, and waits until all are ready.
    pub async fn start(versions: &[Version], with: With) -> Result<Self> {
        let folder = TempDir::with_prefix("nodes-")?;
        machine::connect_machines()?;
        let etcd = etcd(&folder)?;
        let document = Document::read("docs/kubeadm.md")?;
        let mut nodes = Self {
            all: Vec::new(),
            _etcd: etcd,
            document,
            with,
            arguments: Vec::new(),
            #[cfg(feature = "slow")]
            commands_run: Cell::default(),
            folder,
        };
        for version in versions {
            nodes.prepare(*version).await?;
        }
        for index in 0..versions.len() {
            nodes.start_pods(index)?;
        }
        for node in &nodes.all {
            nodes.wait_ready(node).await?;
        }
        nodes.bind_administrators().await?;
        Ok(nodes)
    }

    /// Adds a machine with kubeadm's certificates and kubeconfigs.
    pub async fn prepare(&mut self, version: Version) -> Result<&Node> {
        let number = u8::try_from(self.all.len() + 1)?;
        let machine = Arc::new(Machine::start(number, self.folder.path()).await?);
        machine.install("kubeadm", &Artifact::Kubeadm(NEWER).path()?, None)?;
        machine.install("mixed-version-companion", &Artifact::Companion.path()?, None)?;
        let newest = Artifact::ControlPlane(NEWER).path()?;
        machine.install("kubectl", &newest, Some("kubectl"))?;
        fs::create_dir_all(machine.etc("kubernetes/pki"))?;
        if let Some(first) = self.all.first() {
            for file in SHARED {
                let file = format!("kubernetes/pki/{file}");
                fs::copy(first.machine.etc(&file), machine.etc(&file))?;
            }
        }
        let pods = StaticPods::start(Arc::clone(&machine));
        let port = if self.with == With::Envoy { PASS_THROUGH } else { CLIENTS };
        self.all.push(Node { pods, machine, version, port });
        let node = self.all.last().context("a node")?;
        self.write_configuration(node)?;
        node.machine.script(
            "kubeadm init phase certs all --config /etc/kubeadm.yaml
             kubeadm init phase kubeconfig all --config /etc/kubeadm.yaml
             for what in certificate key; do
                 sed -n \"s/.*client-$what-data: //p\" /etc/kubernetes/super-admin.conf |
                     base64 -d >/etc/administrator.$what
             done",
        )?;
        Ok(node)
    }

    /// Writes kubeadm's configuration of a node.
    fn write_configuration(&self, node: &Node) -> Result<()> {
        let (first, address) = (self.node(0)?.machine.address(), node.machine.address());
        let mut init = json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": { "advertiseAddress": address, "bindPort": CLIENTS },
            "nodeRegistration": { "name": node.machine.name(), "criSocket": "unix:///none" },
        });
        let mut cluster = json!({
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": full_version(node.version)?,
            "controlPlaneEndpoint": format!("{first}:{CLIENTS}"),
            "encryptionAlgorithm": "ECDSA-P256",
            "etcd": { "external": { "endpoints": [format!("http://{OUTSIDE}:2379")] } },
        });
        let mut arguments = self.arguments.clone();
        if self.with == With::Envoy {
            set(&mut init, "patches", json!({ "directory": "/etc/kubernetes/patches" }));
            arguments.push(("bind-address", "127.0.0.1"));
        }
        if !arguments.is_empty() {
            let argument = |(name, value)| json!({ "name": name, "value": value });
            let arguments: Vec<_> = arguments.into_iter().map(argument).collect();
            set(&mut cluster, "apiServer", json!({ "extraArgs": arguments }));
        }
        fs::write(node.machine.etc("kubeadm.yaml"), format!("{init}\n---\n{cluster}\n"))?;
        Ok(())
    }

    /// Has a node's static pods written.
    pub fn start_pods(&self, index: usize) -> Result<()> {
        if self.with == With::Envoy {
            self.run(index, "Add a node", 0)?;
        }
        self.write_manifests(index)
    }

    /// Has kubeadm write a node's manifests, for the version that it has.
    pub fn write_manifests(&self, index: usize) -> Result<()> {
        let node = self.node(index)?;
        self.write_configuration(node)?;
        node.machine.script("kubeadm init phase control-plane all --config /etc/kubeadm.yaml")?;
        Ok(())
    }

    /// `kubeadm init` gives its administrators their rights.
    async fn bind_administrators(&self) -> Result<()> {
        let name = "kubeadm:cluster-admins";
        let api = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": format!("{api}/v1"),
            "kind": "ClusterRoleBinding",
            "metadata": { "name": name },
            "roleRef": { "apiGroup": api, "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "apiGroup": api, "kind": "Group", "name": name }],
        });
        self.client(0, Http::Two)?.post(BINDINGS, &binding).await?.ok()?;
        Ok(())
    }

    /// Returns all nodes.
    pub fn all(&self) -> &[Node] {
        &self.all
    }

    /// Returns the node at an index.
    pub fn node(&self, index: usize) -> Result<&Node> {
        self.all.get(index).with_context(|| format!("node {index} does not exist"))
    }

    /// Returns the node at an index, to change it.
    #[cfg(feature = "slow")]
    pub fn node_mut(&mut self, index: usize) -> Result<&mut Node> {
        self.all.get_mut(index).with_context(|| format!("node {index} does not exist"))
    }

    /// Runs commands of the document on a node, with its variables; their output.
    pub fn run(&self, index: usize, heading: &str, block: usize) -> Result<String> {
        let commands = self.document.commands(heading, block)?;
        #[cfg(feature = "slow")]
        self.commands_run.set(self.commands_run.get() + commands.lines().count());
        self.run_with_peers(index, commands, &self.peers())
    }

    /// Runs commands on a node with other `PEERS`.
    pub fn run_with_peers(&self, index: usize, commands: &str, peers: &str) -> Result<String> {
        let variables = self.document.commands("What you need", 0)?;
        let node = self.node(index)?;
        let (address, filter) = (node.machine.address().to_string(), Artifact::Filter.path()?);
        let filter = filter.to_str().context("not UTF-8")?;
        let values = [("NODE", address.as_str()), ("PEERS", peers), ("FILTER", filter)];
        // What the document sets, with the values of this node.
        let set = values.map(|(name, value)| format!("export {name}='{value}'\n")).concat();
        let checkout = harness::artifacts::integration_folder().join("..").canonicalize()?;
        let enter = format!(
            "mkdir -p ~/checkout; ln -sfn {0}/envoy-config ~/checkout/envoy-config; cd ~/checkout\n",
            checkout.display()
        );
        node.machine.script(&format!("{enter}{variables}\n{set}{commands}"))
    }

    /// Returns `PEERS` as all nodes have it.
    pub fn peers(&self) -> String {
        self.peers_but(None)
    }

    /// The same with another port of one node.
    pub fn peers_but(&self, other: Option<(usize, u16)>) -> String {
        let peer = |(index, node): (usize, &Node)| {
            let port =
                other.filter(|(other, _)| *other == index).map_or(node.port, |(_, port)| port);
            format!("{}={}:{port}", node.machine.name(), node.machine.address())
        };
        self.all.iter().enumerate().map(peer).collect::<Vec<_>>().join(" ")
    }

    /// Returns the address that clients use.
    pub fn url(&self, index: usize) -> Result<String> {
        Ok(format!("https://{}:{CLIENTS}", self.node(index)?.machine.address()))
    }

    /// Returns a client of an administrator at a node.
    pub fn client(&self, index: usize, http: Http) -> Result<Client> {
        Client::new(&self.client_options(self.url(index)?, http)?)
    }

    /// Returns the options of a client of an administrator.
    pub fn client_options(&self, url: String, http: Http) -> Result<ClientOptions> {
        let first = &self.node(0)?.machine;
        let ca_pem = fs::read_to_string(first.etc("kubernetes/pki/ca.crt"))?;
        let certificate = CertificateFiles {
            certificate: first.etc("administrator.certificate"),
            key: first.etc("administrator.key"),
        };
        Ok(ClientOptions {
            url,
            ca_pem,
            certificate: Some(certificate),
            http,
            ..ClientOptions::default()
        })
    }

    /// Waits until a node's API server is ready, by the node's address.
    pub async fn wait_ready(&self, node: &Node) -> Result<()> {
        let url = format!("https://{}:{CLIENTS}", node.machine.address());
        let client = Client::new(&self.client_options(url, Http::Two)?)?;
        let what = format!("/readyz of {}", node.machine.name());
        wait::until(&what, DEADLINE, async || client.get("/readyz").await?.ok().map(drop)).await
    }

    /// Waits until a node's companion has `count` peers in rotation, and the node's Envoy has the
    /// map that says so.
    pub async fn wait_serving(&self, index: usize, count: usize) -> Result<()> {
        wait::until("all peers in rotation", DEADLINE, async || {
            let peers = self.peers_seen(index).await?;
            let serving = peers.iter().filter(|peer| self.serves(peer)).count();
            ensure!(serving == count, "{peers:?}");
            // The peers are known before the map that has them is pushed. The map that was pushed
            // before any was ready has all of them too, but not what they serve.
            let map = self.map(index).await?;
            ensure!(
                map.complete && map.rotation.len() == count,
                "generation {}, complete: {}, has {:?}",
                map.generation,
                map.complete,
                map.rotation
            );
            let live = self.generation(index).await?;
            ensure!(live >= map.generation, "Envoy is at generation {live} of {}", map.generation);
            Ok(())
        })
        .await
    }

    /// Returns whether a peer serves, as the version that its node has now.
    fn serves(&self, peer: &Value) -> bool {
        let is_on = |node: &&Node| peer.get("name") == Some(&json!(node.machine.name()));
        let version = self.all.iter().find(is_on).map(|node| json!(node.version.as_str()));
        peer.get("state") == Some(&json!("serving"))
            && version.is_some_and(|version| peer.get("minorVersion") == Some(&version))
    }

    /// Returns the map that a node's companion pushed last.
    async fn map(&self, index: usize) -> Result<DiscoveryMap> {
        read_map(self.read(index, COMPANION, "/v1/map").await?.json()?)
    }

    /// Returns the generation of the map that a node's Envoy uses.
    async fn generation(&self, index: usize) -> Result<u64> {
        let stats = self.read(index, ADMIN, "/stats").await?.text();
        stat_in(&stats, MAP_GENERATION)?.with_context(|| format!("no {MAP_GENERATION}"))
    }

    /// Reads from a port of a node's loopback.
    async fn read(&self, index: usize, port: u16, path: &str) -> Result<Answer> {
        let (machine, path) = (&self.node(index)?.machine, path.to_owned());
        machine.inside(move || async move { Client::plain(port)?.get(&path).await?.ok() }).await
    }

    /// Returns what a node's companion says of its peers.
    pub async fn peers_seen(&self, index: usize) -> Result<Vec<Value>> {
        let answer = self.read(index, COMPANION, "/v1/peers").await?;
        answer.json()?.as_array().cloned().context("not a list")
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

/// etcd is on none of the machines.
fn etcd(folder: &TempDir) -> Result<Process> {
    let url = format!("http://{OUTSIDE}:2379");
    Program::new("etcd", Artifact::ControlPlane(NEWER).path()?, folder.path().join("etcd.log"))
        .arg("etcd")
        .arg(format!("--data-dir={}", folder.path().join("etcd").display()))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .args(["--log-level=warn", "--unsafe-no-fsync"])
        .spawn()
}

/// Returns a version with its patch version, as its server says it.
pub fn full_version(version: Version) -> Result<String> {
    let program = Artifact::ControlPlane(version).path()?;
    let output =
        std::process::Command::new(program).args(["kube-apiserver", "--version"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.trim().trim_start_matches("Kubernetes ").to_owned())
}
