//! kubectl through Envoy, as a person uses it, with a bearer token and with a
//! client certificate: types of one server and types of both, each command with an empty discovery cache at
//! first and then with a filled one; a newer kubectl than some server, and an
//! older one.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::control_plane::{Kubectl, ServerOptions, User};
use harness::manifests::{MIGRATIONS, TAINT_RULES, config_map, deployment, migration, taint_rule};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER, without};
use serde_json::Value;

/// How often everything is done with each kubectl; the cache, which they
/// share, is empty the first time.
const ROUNDS: [(Version, User, usize); 4] = [
    (NEWER, User::Admin, 2),
    (NEWER, User::KubernetesAdmin, 1),
    (OLDER, User::Admin, 1),
    (OLDER, User::KubernetesAdmin, 1),
];

#[tokio::test]
async fn kubectl_works_on_types_of_either_server() -> Result<()> {
    let mut entry = Entry::begin("cluster_kubectl");
    let old = without(ServerOptions::new("old", OLDER), &[TAINT_RULES, MIGRATIONS])?;
    let site = Site::start(vec![old, ServerOptions::new("new", NEWER)]).await?;
    let mut commands = 0;
    for (version, user, rounds) in ROUNDS {
        let kubectl = site.plane.kubectl(version, &site.stack.url(), user)?;
        for round in 0..rounds {
            for (resource, column, make) in KINDS {
                let name = format!("round-{round}");
                commands +=
                    life(&site, &kubectl, (resource, column), &make(&name)).await.with_context(
                        || format!("kubectl {version}, {user:?}, round {round}, {resource}"),
                    )?;
            }
        }
    }
    commands += denied(&site).await?;
    entry.set("commands", commands);
    entry.set("failed", 0);
    entry.passed()
}

type Make = fn(&str) -> Value;

/// Types of the newer server only, one in a group of its own, and of both; and the
/// last column of the tables that a server makes of them.
const KINDS: [(&str, &str, Make); 4] = [
    ("devicetaintrules", "AGE", taint_rule),
    ("storageversionmigrations", "STATUS", migration),
    ("configmaps", "AGE", config_map),
    ("deployments.apps", "AGE", deployment),
];

/// How often a test changes an object at most until a watch shows it.
const LABELS: u64 = 12;
/// How long it waits for the watch each time.
const EVENT: Duration = Duration::from_secs(5);

/// Runs the life of one object. Returns the number of commands.
async fn life(
    site: &Site,
    kubectl: &Kubectl,
    (resource, column): (&str, &str),
    object: &Value,
) -> Result<u64> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).context("no name")?;
    let file = site.plane.folder().join("object.json");
    fs::write(&file, object.to_string())?;
    let file = file.display().to_string();
    let run = async |arguments: &[&str]| {
        let output = kubectl.run(arguments).await?;
        output.ok().with_context(|| arguments.join(" "))
    };
    let applied = run(&["apply", "-f", &file]).await?;
    ensure!(applied.contains("created"), "{applied}");
    let again = run(&["apply", "-f", &file]).await?;
    ensure!(again.contains("unchanged") || again.contains("configured"), "{again}");
    run(&["apply", "--server-side", "--force-conflicts", "-f", &file]).await?;
    let list = run(&["get", resource, "-o", "name"]).await?;
    ensure!(list.contains(name), "{list}");
    let table = run(&["get", resource, name]).await?;
    ensure!(table.contains(column) && table.contains(name), "{table}");
    let described = run(&["describe", resource, name]).await?;
    ensure!(described.contains(name), "{described}");
    let mut watch = kubectl.start(&["get", resource, name, "--watch", "-o", "name"])?;
    ensure!(watch.next_line().await?.contains(name), "another object");
    let mut labels = 0;
    // kubectl does not print the object with which the watch begins. A change before that is not
    // shown, so another one follows.
    let event = loop {
        labels += 1;
        run(&["label", resource, name, &format!("labeled={labels}"), "--overwrite"]).await?;
        match tokio::time::timeout(EVENT, watch.next_line()).await {
            Ok(event) => break event?,
            Err(_) => ensure!(labels < LABELS, "no event: {}", watch.said()),
        }
    };
    ensure!(event.contains(name), "{event}");
    drop(watch);
    let deleted = run(&["delete", "-f", &file]).await?;
    ensure!(deleted.contains("deleted"), "{deleted}");
    let gone = kubectl.run(&["get", resource, name]).await?;
    ensure!(!gone.success && gone.stderr.contains("(NotFound)"), "{gone:?}");
    Ok(9 + labels)
}

/// kubectl reports an unknown type and a user without permissions as it does without Envoy.
async fn denied(site: &Site) -> Result<u64> {
    let url = site.stack.url();
    let kubectl = site.plane.kubectl(NEWER, &url, User::Admin)?;
    let nothing = kubectl.run(&["get", "nothings"]).await?;
    ensure!(nothing.stderr.contains("doesn't have a resource type"), "{nothing:?}");
    let raw = kubectl.run(&["get", "--raw", "/apis/nothing.example/v1/things"]).await?;
    ensure!(raw.stderr.contains("(NotFound)"), "{raw:?}");
    for user in [User::Plain, User::PlainCertificate] {
        let plain = site.plane.kubectl(NEWER, &url, user)?;
        for resource in ["devicetaintrules", "configmaps"] {
            let answer = plain.run(&["get", resource]).await?;
            ensure!(answer.stderr.contains("Forbidden"), "{answer:?}");
        }
    }
    Ok(6)
}
