//! Controllers whose discovery is of the old form, one document for each
//! group-version in protobuf, as client-go's controllers ask for them: no child
//! of a living owner is collected, and namespaces go with all that is in them.
//!
//! ```text
//!   garbage collector, namespace controller ──▶ old discovery ──▶ Envoy ─┬▶ older
//!                                                                        └▶ newer
//! ```
//!
//! Both servers serve `certificates.k8s.io/v1`; only one has a namespaced type of
//! that name, of which every namespace has an object and every child an owner.
//! Without the filter the document of that group-version lacks the type at times,
//! and objects stay behind in etcd.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::control_plane::{ControllerManager, ControllerManagerOptions, ServerOptions, User};
use harness::manifests::{NAMESPACES, config_map, namespace, pod_certificate_request};
use harness::old_discovery::OldDiscovery;
use harness::report::Entry;
use harness::site::{Site, stack_options};
use harness::stack::Stack;
use harness::wait;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use super::removal::{gone, left};

/// The two newest versions; the newer one alone has the type.
const VERSIONS: [Version; 2] = Version::NEWEST_PAIR;

/// How many namespaces go, and how many families are looked at. Each round takes some seconds.
const ROUNDS: usize = if cfg!(feature = "slow") { 20 } else { 5 };

/// How many namespaces are deleted at once without the filter.
const PLAIN_NAMESPACES: usize = 5;

/// How often that is done until something is left. Not every document is wrong, so that nothing is
/// left of five namespaces now and then.
const PLAIN_ROUNDS: usize = 12;

/// How long the namespaces of one of these rounds may take.
const PLAIN_TIME: Duration = Duration::from_secs(20);

/// The namespace of the families.
const LIVING: &str = "living";

/// How long the collector may take for a family; it sees new types within 30 s.
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn controllers_with_older_discovery_collect_only_children_without_owners() -> Result<()> {
    let mut entry = Entry::begin("cluster_old_discovery");
    let [older, newer] = VERSIONS;
    let mut old = ServerOptions::new("old", older);
    if older > Version::V1_36 {
        // It has the type, and an informer without which it does not become ready.
        old = old.argument("--emulated-version=1.36");
    }
    let site = Site::start(vec![old, ServerOptions::new("new", newer)]).await?;
    the_servers_differ(&site).await?;
    let without = without_filter(&site).await?;
    entry.set("leftWithoutFilter", json!(without));
    ensure!(!without.is_empty(), "nothing is left without the filter either");

    let admin = site.client(Http::Two)?;
    admin.post(NAMESPACES, &namespace(LIVING)).await?.ok()?;
    let (_discovery, mut manager) = start(&site, site.stack.port()).await?;
    let mut objects = 0;
    for round in 0..ROUNDS {
        let name = format!("round-{round}");
        let family = Family::create(&admin, &format!("family-{round}")).await?;
        fill(&admin, &name).await?;
        let stored = left(&site, std::slice::from_ref(&name)).await?.len();
        ensure!(stored > OBJECTS, "{name}: {stored} objects");
        objects += stored;
        admin.delete(&format!("{NAMESPACES}/{name}")).await?.ok()?;
        gone(&admin, std::slice::from_ref(&name)).await?;
        let left = left(&site, std::slice::from_ref(&name)).await?;
        ensure!(left.is_empty(), "{name}: {left:#?}");
        family.is_looked_at_and_kept(&admin).await.with_context(|| name.clone())?;
        manager.process().ensure_running()?;
    }
    entry.set("rounds", ROUNDS);
    entry.set("objectsDeleted", objects);
    entry.set("childrenKept", ROUNDS);
    entry.passed()
}

/// Deletes namespaces through a plain round robin until keys of some are left after a while, and
/// returns these. Some namespaces stay, for a group-version that a server does not know fails their
/// deletion; others go and leave objects behind.
async fn without_filter(site: &Site) -> Result<Vec<String>> {
    let mut options = stack_options(&site.plane, "plain")?;
    options.filter = false;
    let plain = Stack::start(options).await?;
    let (_discovery, _manager) = start(site, plain.port()).await?;
    let admin = site.client(Http::Two)?;
    for round in 0..PLAIN_ROUNDS {
        let name = |number| format!("without-filter-{round}-{number}");
        let names: Vec<_> = (0..PLAIN_NAMESPACES).map(name).collect();
        for name in &names {
            fill(&admin, name).await?;
            admin.delete(&format!("{NAMESPACES}/{name}")).await?.ok()?;
        }
        // With the filter, a namespace goes within a second or two.
        let gone = tokio::time::timeout(PLAIN_TIME, gone(&admin, &names)).await;
        gone.unwrap_or(Ok(()))?;
        let left = left(site, &names).await?;
        if !left.is_empty() {
            return Ok(left);
        }
    }
    Ok(Vec::new())
}

/// Starts both controllers behind an Envoy that lets them see old discovery, in
/// front of what listens on `port`.
async fn start(site: &Site, port: u16) -> Result<(OldDiscovery, ControllerManager)> {
    let discovery = OldDiscovery::start(&site.plane, port).await?;
    let options = ControllerManagerOptions {
        version: VERSIONS[0],
        url: discovery.url(),
        user: User::ControllerManager,
        controllers: ["namespace-controller", "garbage-collector-controller"]
            .map(str::to_owned)
            .into(),
        arguments: vec!["--kube-api-qps=200".to_owned(), "--kube-api-burst=200".to_owned()],
    };
    let manager = site.plane.controller_manager(&options).await?;
    Ok((discovery, manager))
}

async fn the_servers_differ(site: &Site) -> Result<()> {
    let document = "/apis/certificates.k8s.io/v1";
    for (server, served) in [false, true].into_iter().enumerate() {
        let document = site.direct(server, Http::Two)?.get(document).await?.ok()?.text();
        ensure!(document.contains(PLURAL) == served, "server {server}: {document}");
    }
    Ok(())
}

/// The type of one server.
const PLURAL: &str = "podcertificaterequests";

fn requests(namespace: &str) -> String {
    format!("/apis/certificates.k8s.io/v1/namespaces/{namespace}/{PLURAL}")
}

/// How many objects [`fill`] makes.
const OBJECTS: usize = 2;

/// Makes a namespace with an object that all servers can delete, and one that
/// the newer one can.
async fn fill(admin: &Client, name: &str) -> Result<()> {
    admin.post(NAMESPACES, &namespace(name)).await?.ok()?;
    let maps = format!("/api/v1/namespaces/{name}/configmaps");
    admin.post(&maps, &config_map("common")).await?.ok()?;
    admin.post(&requests(name), &pod_certificate_request("of-new")).await?.ok()?;
    Ok(())
}

/// A child of a living owner and of one that never was.
struct Family {
    child: String,
}

impl Family {
    async fn create(admin: &Client, name: &str) -> Result<Self> {
        let owner = admin.post(&requests(LIVING), &pod_certificate_request(name)).await?;
        let owner = owner.ok()?.json()?;
        let uid = owner.pointer("/metadata/uid").and_then(Value::as_str).context("no uid")?;
        let mut child = config_map(name);
        let metadata = child.pointer_mut("/metadata").and_then(Value::as_object_mut);
        metadata.context("no metadata")?.insert(
            "ownerReferences".to_owned(),
            json!([
                {
                    "apiVersion": "certificates.k8s.io/v1", "kind": "PodCertificateRequest",
                    "name": name, "uid": uid,
                },
                {
                    "apiVersion": "v1", "kind": "ConfigMap", "name": "never",
                    "uid": "00000000-0000-4000-8000-000000000000",
                },
            ]),
        );
        let path = format!("/api/v1/namespaces/{LIVING}/configmaps");
        admin.post(&path, &child).await?.ok()?;
        Ok(Self { child: format!("{path}/{name}") })
    }

    /// The collector has looked at the child when it has removed the owner that
    /// never was.
    async fn is_looked_at_and_kept(&self, admin: &Client) -> Result<()> {
        let path = &self.child;
        wait::until("the collector", DEADLINE, async || {
            let answer = admin.get(path).await?;
            // A child that was collected does not come back.
            if answer.status == 404 {
                return Ok(Err(anyhow::anyhow!("{path} was collected")));
            }
            let child = answer.ok()?.json()?;
            let owners = child.pointer("/metadata/ownerReferences").and_then(Value::as_array);
            let owners = owners.map_or(0, Vec::len);
            ensure!(owners == 1, "{path} has {owners} owners");
            anyhow::Ok(Ok(()))
        })
        .await?
    }
}
