//! The cluster that hosts its own control plane, and what runs in one of its pods.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::DiscoveryMap;
use harness::artifacts::Artifact;
use harness::companion::{Companion, CompanionOptions};
use harness::control_plane::{
    ControlPlane, ControllerManager, ControllerManagerOptions, Kwok, Scheduler, ServerOptions, User,
};
use harness::envoy::{Envoy, EnvoyOptions};
use harness::manifests::TAINT_RULES;
use harness::namespace;
use harness::relay::Relay;
use harness::report::Entry;
use harness::skew::{NEWER, OLDER, has_type, without};
use harness::stack::wait_for_map;
use harness::wait;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use crate::chart::pod::{Objects, Pod};
use crate::hosted::pods::{NAMESPACE, Pods};

pub const DEADLINE: Duration = Duration::from_secs(120);

/// Where the Service `kubernetes` of the hosting cluster is.
const HOSTING_PORT: u16 = 443;

/// Ports of the pod: clients, companion, health, and what Prometheus reads.
const CLIENTS: u16 = 6443;
const COMPANION: u16 = 9902;
const HEALTH: u16 = 9903;
const METRICS: [(u16, &str); 2] = [(9906, "/metrics"), (9907, "/stats/prometheus")];

/// A cluster that hosts its own control plane.
pub struct Cluster {
    _parts: (ControllerManager, Scheduler, Kwok),
    _service: Relay,
    pub folder: PathBuf,
    // The last field: its folder has the others' files.
    pub plane: ControlPlane,
}

impl Cluster {
    pub async fn start() -> Result<Self> {
        let server = |name: &str, version| {
            ServerOptions::new(name, version)
                .argument("--bind-address=0.0.0.0")
                .argument("--advertise-address=10.77.0.1")
        };
        let older = without(server("older", OLDER), &[TAINT_RULES])?;
        let plane = ControlPlane::start_with(vec![older, server("newer", NEWER)]).await?;
        let mut pods = Pods::create(&plane).await?;
        for server in plane.servers() {
            let address = pods.new_address(server.port());
            pods.add(server.name(), address).await?;
        }
        let url = plane.server(1)?.url();
        let options = ControllerManagerOptions {
            version: NEWER,
            url: url.clone(),
            user: User::ControllerManager,
            controllers: vec!["*".to_owned()],
            arguments: Vec::new(),
        };
        let manager = plane.controller_manager(&options).await?;
        let scheduler = plane.scheduler(NEWER, &url).await?;
        let kwok = plane.kwok(&["node-1", "node-2"], &url).await?;
        let target = ([127, 0, 0, 1], plane.server(1)?.port()).into();
        let service = Relay::start_at(HOSTING_PORT, target).await?;
        let folder = plane.folder().join("administrator");
        let parts = (manager, scheduler, kwok);
        Ok(Self { _parts: parts, _service: service, folder, plane })
    }

    pub fn admin(&self, url: &str) -> Result<Client> {
        self.plane.client(url, User::Admin, Http::Two)
    }

    /// Starts what a kubelet would start of the first pod.
    pub async fn run_pod(&self) -> Result<Running> {
        let admin = self.admin(&self.plane.server(1)?.url())?;
        let of = |path: &str| format!("/api/v1/namespaces/{NAMESPACE}/{path}");
        let pod = admin.get(&of("pods/mixed-version-proxy-0")).await?.ok()?.json()?;
        let mut objects = Objects::default();
        for (kind, path) in [("ConfigMap", "configmaps"), ("Secret", "secrets")] {
            let list = admin.get(&of(path)).await?.ok()?.json()?;
            for object in list["items"].as_array().into_iter().flatten() {
                let mut object = object.clone();
                object["kind"] = kind.into();
                objects.add(&object)?;
            }
        }
        let account = pod["spec"]["serviceAccountName"].as_str().context("an account")?;
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "audiences": null } });
        let path = of(&format!("serviceaccounts/{account}/token"));
        let token = admin.post(&path, &request).await?.ok()?.json()?;
        let token = token["status"]["token"].as_str().context("a token")?;
        let files =
            [("token", token), ("ca.crt", &*self.plane.pki().ca_pem()), ("namespace", NAMESPACE)];
        namespace::only_in_run(Path::new("secrets/kubernetes.io/serviceaccount"), &files)?;
        Running::start(
            &pod,
            &objects,
            &self.folder.join("pod"),
            self.admin("https://127.0.0.1:6443")?,
        )
        .await
    }

    /// A type that only the newer server has is served each time, and every server gets requests.
    pub async fn is_protected(&self, entry: &mut Entry) -> Result<()> {
        let client = self.admin(&format!("https://127.0.0.1:{CLIENTS}"))?;
        let mut wrong = 0;
        for _ in 0..60 {
            wrong += usize::from(client.get(TAINT_RULES).await?.status != 200);
            client.get("/api/v1/namespaces").await?.ok()?;
        }
        entry.set("wrong404s", wrong);
        ensure!(wrong == 0, "{wrong} of 60 requests for a type of the newer server failed");
        // A client certificate is passed on by the front-proxy certificate.
        let url = format!("https://127.0.0.1:{CLIENTS}");
        let by_certificate = self.plane.client(&url, User::KubernetesAdmin, Http::Two)?;
        let review =
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let who = by_certificate.post(path, &review).await?.ok()?.json()?;
        let name = User::KubernetesAdmin.name();
        ensure!(who["status"]["userInfo"]["username"] == name, "{who}");
        Ok(())
    }
}

/// The companion and Envoy of a pod.
pub struct Running {
    pub companion: Companion,
    envoy: Envoy,
}

impl Running {
    pub async fn start(
        pod: &Value,
        objects: &Objects,
        folder: &Path,
        admin: Client,
    ) -> Result<Self> {
        let pod = Pod::create(pod, objects, folder.join("volumes"), Artifact::Filter.path()?)?;
        let text = |container: &str, file: &str| {
            let path = pod.path(container, &format!("/etc/mixed-version-proxy/{file}"))?;
            Ok::<_, anyhow::Error>(std::fs::read_to_string(path)?)
        };
        let mut companion = Companion::start(CompanionOptions {
            config: text("companion", "companion.yaml")?.replace("[::]", "0.0.0.0"),
            port: COMPANION,
            folder: folder.join("companion"),
        })
        .await?;
        companion.wait_ready().await?;
        let mut options = EnvoyOptions::new(text("envoy", "envoy.yaml")?, folder.join("envoy"))
            // Not every machine that runs tests has IPv6.
            .replacing("address: \"::\", ipv4_compat: true", "address: 0.0.0.0")?;
        // What the harness sets itself.
        let own = ["--config-path", "--concurrency", "--disable-hot-restart"];
        let mut arguments = pod.arguments("envoy")?.into_iter();
        while let Some(argument) = arguments.next() {
            if !own.contains(&argument.as_str()) {
                options = options.argument(argument);
            } else if argument != "--disable-hot-restart" {
                arguments.next();
            }
        }
        let envoy = Envoy::start(options).await?;
        let health = Client::plain(HEALTH)?;
        wait::until("the pod to be ready", DEADLINE, async || health.get("/healthz").await?.ok())
            .await?;
        wait::until("requests to be served", DEADLINE, async || {
            admin.get("/api/v1/nodes").await?.ok()
        })
        .await?;
        let running = Self { companion, envoy };
        running.wait_for_both_servers().await?;
        Ok(running)
    }

    /// Waits until Envoy has a map with both servers, and with what the newer one serves: on a busy
    /// machine, the first map may lack a server that did not answer in time.
    async fn wait_for_both_servers(&self) -> Result<()> {
        let has_both = |map: &DiscoveryMap| map.rotation.len() == 2 && has_type(map, TAINT_RULES);
        wait_for_map(&self.companion, &self.envoy, "a map of both servers", has_both).await
    }

    /// Metrics can be read from elsewhere, and nothing else of what only the host may see.
    pub async fn is_observable(&mut self) -> Result<()> {
        for (port, path) in METRICS {
            let client = Client::plain(port)?;
            let metrics = client.get(path).await?.ok()?;
            ensure!(metrics.text().contains("mixed_version_"), "{path} has no metrics");
            for other in
                ["/v1/map", "/v1/peers", "/config_dump", "/stats", "/quitquitquit", "/certs"]
            {
                let answer = client.get(other).await?;
                ensure!(answer.status == 404, "{other} at {port}: {answer:?}");
            }
        }
        ensure!(self.envoy.stat("server.live").await? == Some(1), "Envoy is not live");
        Ok(())
    }
}
