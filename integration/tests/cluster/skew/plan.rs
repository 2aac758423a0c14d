//! `kubectl skew plan` on the real pair: what it says of the next version is what that version serves.

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifact;
use harness::audit_logs::AuditLogs;
use harness::builtin_types::{self, types};
use harness::control_plane::{ServerOptions, User};
use harness::report::Entry;
use harness::skew::{NEWER, OLDER};
use harness::wait;
use reqwest::Method;
use serde_json::{Value, json};
use wire::client::Http;

use super::{DEADLINE, Scene, finding};

/// A group-version that 1.36 has, off by default, and 1.37 has not.
const CIDRS: &str = "/apis/networking.k8s.io/v1beta1/servicecidrs";

/// A type that has long been deprecated, and stays.
const STATUSES: &str = "/api/v1/componentstatuses";

/// As many as nobody else sends.
const REQUESTS: u64 = 7;

/// Turns on everything that a server has, as in the discovery documents of its release.
fn everything(name: &str, version: fake_apiserver::Version) -> ServerOptions {
    ServerOptions::new(name, version)
        .argument("--runtime-config=api/all=true")
        .argument("--feature-gates=AllAlpha=true,AllBeta=true")
}

/// Returns the types that a server serves.
async fn served(scene: &Scene, server: usize) -> Result<BTreeSet<(String, String)>> {
    let client = scene.site.direct(server, Http::Two)?;
    let accept = fake_apiserver::recordings::AGGREGATED;
    let mut found = BTreeSet::new();
    for path in ["/api", "/apis"] {
        let request = client.request(Method::GET, path).header("accept", accept);
        let answer = client.send(request).await?.ok()?;
        found.extend(types(&answer.json()?)?);
    }
    Ok(found)
}

/// Returns the types in a list of a plan.
fn planned(plan: &Value, list: &str) -> Result<BTreeSet<(String, String)>> {
    let list = plan[list].as_array().with_context(|| format!("no {list}: {plan:#}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |one: &Value| {
        let (group, version) = (text(&one["group"]), text(&one["version"]));
        let parts = [group, version];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        (parts.join("/"), text(&one["resource"]))
    };
    Ok(list.iter().map(one).collect())
}

fn difference(
    a: &BTreeSet<(String, String)>,
    b: &BTreeSet<(String, String)>,
) -> BTreeSet<(String, String)> {
    a.difference(b).cloned().collect()
}

#[test]
fn the_table_of_built_in_types_is_that_of_the_releases() -> Result<()> {
    let made = builtin_types::table(&Artifact::DiscoveryDocuments.path()?)?;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(builtin_types::file(), &made)?;
    }
    let kept = fs::read_to_string(builtin_types::file())?;
    ensure!(kept == made, "run this test with UPDATE_GOLDEN=1, and review the difference");
    Ok(())
}

#[tokio::test]
async fn a_plan_has_what_the_newer_server_adds_by_default_and_nothing_else() -> Result<()> {
    let mut entry = Entry::begin("cluster_skew_plan");
    let scene = Scene::start().await?;
    let to = NEWER.to_string();
    let (code, plan) = scene.run(&scene.kubeconfig, "plan", &["--to", &to]).await?;
    assert_eq!((&plan["from"], &plan["to"]), (&json!(OLDER.to_string()), &json!(to)));
    assert_eq!((&plan["upgraded"], &plan["notExamined"]), (&json!(["new"]), &json!([])));
    let (old, new) = (served(&scene, 0).await?, served(&scene, 1).await?);
    assert_eq!(planned(&plan, "added")?, difference(&new, &old));
    assert_eq!(planned(&plan, "removed")?, difference(&old, &new));
    ensure!(code == ExitCode::SUCCESS, "{code:?}: {plan:#}");
    // One server has them now, and the second one follows.
    let added = plan["added"].as_array().context("nothing is added")?;
    ensure!(
        !added.is_empty() && added.iter().all(|one| one["twoServers"] == json!({ "after": "old" }))
    );
    entry.set("added", added.len());
    entry.passed()
}

#[tokio::test]
async fn a_plan_removes_what_the_newer_server_lacks_with_everything_turned_on() -> Result<()> {
    let scene = Scene::of(vec![everything("old", OLDER), everything("new", NEWER)]).await?;
    let (_, plan) = scene.run(&scene.kubeconfig, "plan", &[]).await?;
    let (old, new) = (served(&scene, 0).await?, served(&scene, 1).await?);
    let removed = planned(&plan, "removed")?;
    ensure!(!removed.is_empty(), "{plan:#}");
    assert_eq!(removed, difference(&old, &new));
    let off = planned(&plan, "offByDefault")?;
    ensure!(!off.is_empty() && off.is_subset(&new), "{:?}", difference(&off, &new));
    Ok(())
}

#[tokio::test]
async fn requests_for_what_goes_are_found_with_their_number_and_user() -> Result<()> {
    let group = json!([{ "group": "networking.k8s.io" }]);
    let rules = json!([{ "level": "Metadata", "resources": group }, { "level": "None" }]);
    let logs = AuditLogs::new(&[], &rules)?;
    let server = |name: &str| {
        logs.server(name, OLDER).argument("--runtime-config=networking.k8s.io/v1beta1=true")
    };
    let scene = Scene::of(vec![server("a"), server("b")]).await?;
    let going = |plan: &Value| {
        let mut removed = plan["removed"].as_array().into_iter().flatten();
        removed.find(|one| one["resource"] == "servicecidrs").cloned()
    };

    wait::until("a plan of what nobody uses", DEADLINE, async || {
        let (code, plan) = scene.run(&scene.kubeconfig, "plan", &[]).await?;
        let unused = going(&plan).with_context(|| format!("{plan:#}"))?;
        ensure!(code == ExitCode::SUCCESS, "{code:?}: {plan:#}");
        // The servers make one object themselves, which stays as v1.
        ensure!(unused["objects"] == 1 && unused["otherVersions"] == json!(["v1"]), "{unused:#}");
        ensure!(unused["requests"] == 0 && unused["gone"] == json!({ "after": "b" }), "{unused:#}");
        Ok(())
    })
    .await?;

    // `check` says the same of the next version before the first server has it.
    let (code, report) = scene.check(&[]).await?;
    ensure!(code == ExitCode::SUCCESS, "{code:?}: {report:#}");
    let half = finding(&report, "storage", "networking.k8s.io/v1beta1 servicecidrs")?;
    ensure!(half["verdict"] == "warning" && half["objects"] == 1, "{half:#}");

    let client = scene.site.direct(0, Http::Two)?;
    for _ in 0..REQUESTS {
        client.get(CIDRS).await?.ok()?;
        client.get(STATUSES).await?.ok()?;
    }
    let logs = ["a", "b"].map(|name| logs.file(name).display().to_string());
    let args = ["--to", "1.37", "--audit-log", &logs[0], "--audit-log", &logs[1]];
    let deprecated = json!([{
        "group": "", "version": "v1", "resource": "componentstatuses", "requests": REQUESTS,
    }]);
    let plan = wait::until("the requests in the plan", DEADLINE, async || {
        let (code, plan) = scene.run(&scene.kubeconfig, "plan", &args).await?;
        let used = going(&plan).context("not removed")?;
        let users = used["users"].as_array().context("no users")?;
        ensure!(users.iter().any(|one| one["requests"] == REQUESTS), "{used:#}");
        // A server counts a request after it has answered.
        ensure!(used["requests"] == REQUESTS && plan["deprecated"] == deprecated, "{plan:#}");
        ensure!(code == ExitCode::from(1), "{code:?}");
        Ok(plan)
    })
    .await?;
    let used = going(&plan).context("not removed")?;
    assert_eq!(used["requestedAt"], json!(["a"]));
    assert_eq!(used["users"][0]["user"], User::Admin.name());
    Ok(())
}
