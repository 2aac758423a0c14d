//! Control planes come, change and go while others are in use.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::Crd;
use harness::promise;
use harness::wait;
use reqwest::Response;
use serde_json::Value;
use wire::client::Http;

use super::scene::{DEADLINE, Plane, Scene, serves, stays_as_it_is};
use super::types::widgets;

/// The time that the project promises for a control plane that comes or goes.
const PROMISE: Duration = Duration::from_secs(3);

/// The time that it promises for a change of one.
const CHANGE: Duration = Duration::from_secs(2);

/// Everything that Envoy has of a control plane, by type and name.
async fn has(scene: &Scene, name: &str) -> Result<BTreeMap<String, Value>> {
    let dump = scene.envoy.config_dump().await?;
    let mut found = BTreeMap::new();
    collect(&dump, name, &mut found);
    ensure!(found.len() >= 5, "{:?}", found.keys());
    Ok(found)
}

/// Collects all resources whose names say that they belong to a control plane, with the versions
/// beside them.
fn collect(value: &Value, control_plane: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            let entry = fields.values().find_map(|field| {
                let name = field.get("name").or_else(|| field.get("cluster_name"))?.as_str()?;
                let own = name == control_plane
                    || name.split(['/', '_']).any(|part| part == control_plane);
                (own && (fields.contains_key("version_info")
                    || fields.contains_key("last_updated")))
                .then(|| name.to_owned())
            });
            if let Some(name) = entry {
                let type_url = fields.values().find_map(|field| field.get("@type"));
                let type_url = type_url.and_then(Value::as_str).unwrap_or_default();
                found.insert(format!("{type_url} {name}"), value.clone());
            } else {
                fields.values().for_each(|field| collect(field, control_plane, found));
            }
        }
        Value::Array(entries) => {
            entries.iter().for_each(|entry| collect(entry, control_plane, found));
        }
        _ => {}
    }
}

/// Watches of one control plane that must not end.
struct Watches(Vec<Response>);

impl Watches {
    async fn open(scene: &Scene, plane: &Plane) -> Result<Self> {
        let mut watches = Vec::new();
        for http in [Http::One, Http::Two] {
            let client = plane.client(scene.port().await?, false, http)?;
            let path = "/api/v1/namespaces/n/configmaps?watch=true";
            let watch = client.stream(path).await?;
            ensure!(watch.status() == 200, "{}", watch.status());
            watches.push(watch);
        }
        Ok(Self(watches))
    }

    /// Fails if one has ended.
    async fn are_open(&mut self) -> Result<()> {
        for watch in &mut self.0 {
            let next = tokio::time::timeout(Duration::from_millis(100), watch.chunk()).await;
            // Events may come; the end may not.
            if let Ok(chunk) = next {
                ensure!(chunk?.is_some(), "a watch has ended");
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_control_plane_comes_changes_and_goes_and_others_do_not_notice() -> Result<()> {
    let mut scene = Scene::start(&["a", "b"]).await?;
    let [a, b] = scene.planes.as_slice() else { anyhow::bail!("two control planes") };
    // From then on, nothing of them changes by itself.
    for plane in [a, b] {
        stays_as_it_is(&scene.companion, plane).await?;
    }
    scene.companion.wait_for_envoys(1).await?;
    let (mut watches_a, mut watches_b) =
        (Watches::open(&scene, a).await?, Watches::open(&scene, b).await?);
    let (of_a, of_b) = (has(&scene, "a").await?, has(&scene, "b").await?);

    // One comes.
    let c = Plane::start("c", false).await?;
    scene.ingress.add(&c.config)?;
    let added = Instant::now();
    scene.is_served(&c).await?;
    promise::ensure_kept("the control plane was served", PROMISE, added.elapsed())?;

    // It changes.
    let group = "later-c.example.org";
    c.fleet.peers.first().context("no peer")?.add_crd(Crd::new(group, "Widget"))?;
    let changed = Instant::now();
    let client = c.client(scene.port().await?, false, Http::Two)?;
    let path = format!("/apis/{group}/v1/widgets");
    wait::until("the type to be served", DEADLINE, async || serves(&client, &path).await).await?;
    promise::ensure_kept("the new type was served", CHANGE, changed.elapsed())?;

    // It goes.
    scene.ingress.remove("c")?;
    let removed = Instant::now();
    let port = scene.port().await?;
    wait::until_true("new connections to be refused", DEADLINE, async || {
        matches!(c.client(port, false, Http::One), Ok(fresh) if fresh.get("/version").await.is_err())
    })
    .await?;
    promise::ensure_kept("connections were refused", PROMISE, removed.elapsed())?;
    wait::until("nothing of it to be left", DEADLINE, async || {
        let clusters = scene.envoy.admin("/clusters").await?;
        let left = clusters.lines().find(|line| line.starts_with("c::") || line.starts_with("c_"));
        ensure!(left.is_none(), "{left:?}");
        anyhow::Ok(())
    })
    .await?;

    // The others have what they had.
    watches_a.are_open().await?;
    watches_b.are_open().await?;
    ensure!(has(&scene, "a").await? == of_a, "something of a was sent again");
    ensure!(has(&scene, "b").await? == of_b, "something of b was sent again");
    for plane in &scene.planes {
        scene.is_served(plane).await?;
    }
    let rejected = scene.envoy.stat("listener_manager.lds.update_rejected").await?;
    ensure!(rejected.unwrap_or_default() == 0, "a listener was refused");
    scene.companion.companion.stop().await
}

#[tokio::test]
async fn a_faulty_file_or_a_missing_certificate_harms_no_other_control_plane() -> Result<()> {
    let scene = Scene::start(&["a"]).await?;
    let a = scene.planes.first().context("no control plane")?;
    let mut watches = Watches::open(&scene, a).await?;
    scene.ingress.write_file("faulty", "serverNames: 7")?;
    // An Envoy that has no files of "bare" refuses a listener that names them.
    let mut bare = Plane::start("bare", false).await?;
    bare.config.front_proxy = None;
    bare.config.client_ca_file = None;
    scene.ingress.configure(&bare.config)?;
    let c = Plane::start("c", false).await?;
    scene.ingress.add(&c.config)?;
    scene.is_served(&c).await?;
    watches.are_open().await?;
    scene.is_served(a).await?;
    let view = scene.companion.companion.json("/v1/control-planes").await?.to_string();
    ensure!(view.contains("faulty") && view.contains("serverNames"), "{view}");
    // Each has types of its own.
    let client = a.client(scene.port().await?, false, Http::Two)?;
    let answer = client.get(&widgets("c")).await?;
    ensure!(answer.status == 404, "{answer:?}");
    Ok(())
}
