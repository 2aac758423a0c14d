//! What clients of a gateway see, and what reaches Envoy when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use harness::companion::map_in;
use harness::control_plane::User;
use harness::envoy::{Envoy, EnvoyOptions, MAP_GENERATION};
use harness::process::Process;
use harness::report::Entry;
use harness::wait;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use super::site::Site;

/// Types that only the newer and only the older server has.
const NEW_TYPE: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const OLD_TYPE: &str = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const ROUNDS: usize = 60;
const DEADLINE: Duration = Duration::from_secs(60);

/// Starts Envoy, and fails unless everything works behind it: what only one server has is found,
/// discovery is merged, a certificate's user arrives, and what the companion says reaches Envoy
/// without the controller.
pub async fn is_good(
    site: &Site,
    options: EnvoyOptions,
    port: u16,
    controller: &mut Process,
) -> Result<()> {
    let mut entry = Entry::begin("slow_gateways");
    let envoy = Envoy::start(options).await?;
    let url = format!("https://127.0.0.1:{port}");
    let admin = || site.plane.client(&url, User::Admin, Http::Two);
    controller
        .until("the filter to have its map", DEADLINE, async || {
            let answer = admin()?.get("/version").await?;
            ensure!(answer.status == 200, "{answer:?}");
            anyhow::Ok(())
        })
        .await?;

    let listed = site.type_commands("Check", port)?;
    ensure!(listed.contains("APIGroupList"), "{listed}");
    for path in [NEW_TYPE, OLD_TYPE] {
        let found = found(site, &url, path).await?;
        ensure!(found == ROUNDS, "{path}: {found} of {ROUNDS}");
    }
    let retries = envoy.metric("envoy_cluster_upstream_rq_retry", &[]).await?;
    ensure!(retries < 1.0, "{retries} of them were sent to another server first");
    discovery_is_merged(site, &url).await?;
    a_certificate_is_a_user(site, &url).await?;

    // A watch that sees whether a change of the map ends streams.
    let mut watch =
        admin()?.stream("/api/v1/namespaces?watch=true&timeoutSeconds=600").await?.bytes_stream();
    watch.next().await.context("no event")??;
    let listeners = updates(&envoy).await?;
    controller.kill_9();
    let admin = admin()?;
    let began = Instant::now();
    let crd = definition("late.example.com");
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    admin.post(crds, &crd).await?.ok()?;
    wait::until("Envoy to have a map with the type", DEADLINE, async || {
        let map = map_in(site.companion.json("/v1/map").await?);
        ensure!(map.pointer("/groups/late.example.com").is_some(), "the companion has none");
        let generation = map.get("generation").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let live = envoy.stat(MAP_GENERATION).await?;
        ensure!(live >= Some(generation), "Envoy is at generation {live:?}");
        anyhow::Ok(())
    })
    .await?;
    let took = began.elapsed();
    admin.post("/api/v1/namespaces", &json!({ "metadata": { "name": "seen" } })).await?.ok()?;
    let seen = tokio::time::timeout(DEADLINE, async {
        while let Some(event) = watch.next().await {
            if event?.windows(4).any(|window| window == b"seen") {
                return anyhow::Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    });
    seen.await??;
    ensure!(updates(&envoy).await? == listeners, "the map took a listener along");
    println!("Envoy has a map with a new type after {took:?}");
    entry.set_ms("map", took);
    entry.passed()
}

/// How many of the requests are answered, each over a connection of its own.
async fn found(site: &Site, url: &str, path: &str) -> Result<usize> {
    let mut found = 0;
    for round in 0..ROUNDS {
        let http = if round % 2 == 0 { Http::One } else { Http::Two };
        let client = site.plane.client(url, User::Admin, http)?;
        found += usize::from(client.get(path).await?.status == 200);
    }
    Ok(found)
}

async fn discovery(client: &Client) -> Result<String> {
    let request = client.request(reqwest::Method::GET, "/apis").header("accept", AGGREGATED);
    Ok(client.send(request).await?.ok()?.text())
}

async fn discovery_is_merged(site: &Site, url: &str) -> Result<()> {
    let mut seen = BTreeSet::new();
    for _ in 0..ROUNDS {
        seen.insert(discovery(&site.plane.client(url, User::Admin, Http::Two)?).await?);
    }
    ensure!(seen.len() == 1, "discovery has {} forms", seen.len());
    let document: Value = serde_json::from_str(&seen.pop_first().context("no document")?)?;
    for path in [NEW_TYPE, OLD_TYPE] {
        let found = has(&document, path).context("no path of a type")?;
        ensure!(found, "{path} is not in discovery");
    }
    Ok(())
}

fn has(document: &Value, path: &str) -> Option<bool> {
    let [group, version, resource] =
        path.strip_prefix("/apis/")?.split('/').collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let named = |list: Option<&Value>, place: &str, name: &str| {
        let list = list.and_then(Value::as_array)?;
        list.iter().find(|one| one.pointer(place).is_some_and(|found| found == name)).cloned()
    };
    let group = named(document.get("items"), "/metadata/name", group);
    let version = group.and_then(|group| named(group.get("versions"), "/version", version));
    Some(version.is_some_and(|one| named(one.get("resources"), "/resource", resource).is_some()))
}

async fn a_certificate_is_a_user(site: &Site, url: &str) -> Result<()> {
    let client = site.plane.client(url, User::KubernetesAdmin, Http::Two)?;
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let review = client.post(path, &review).await?.ok()?.json()?;
    let user = review.pointer("/status/userInfo/username");
    ensure!(user.is_some_and(|user| user == "kubernetes-admin"), "{review}");
    Ok(())
}

async fn updates(envoy: &Envoy) -> Result<u64> {
    Ok(envoy.stat("listener_manager.lds.update_success").await?.unwrap_or_default())
}

fn definition(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("things.{group}") },
        "spec": {
            "group": group,
            "names": { "plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList" },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } },
            }],
        },
    })
}
