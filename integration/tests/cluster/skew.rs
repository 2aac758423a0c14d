//! `kubectl skew` on the real pair; here, `check`: the gate of an upgrade and of its rollback.

mod commands;
mod doctor;
mod plan;
mod port_forward;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use discovery_map::Mode;
use harness::control_plane::{ServerOptions, User};
use harness::kubeconfig;
use harness::report::Entry;
use harness::site::{Site, peers};
use harness::skew::{NEWER, OLDER};
use harness::wait;
use kubectl_skew::Screen;
use kubectl_skew::cli::Cli;
use serde_json::{Value, json};
use wire::client::Http;

/// A type that only the newer version serves by default.
const BUNDLES: &str = "/apis/certificates.k8s.io/v1/clustertrustbundles";
const BUNDLES_NAME: &str = "certificates.k8s.io/v1 clustertrustbundles";

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

const DEADLINE: Duration = Duration::from_secs(60);

/// The site, with the user's kubeconfig.
struct Scene {
    site: Site,
    kubeconfig: String,
}

impl Scene {
    async fn start() -> Result<Self> {
        let servers = [("old", OLDER), ("new", NEWER)];
        Self::of(servers.map(|(name, version)| ServerOptions::new(name, version)).into()).await
    }

    async fn of(servers: Vec<ServerOptions>) -> Result<Self> {
        Self::at(Site::start_as_shipped(servers).await?)
    }

    fn at(site: Site) -> Result<Self> {
        // The credentials come from a program, as those of cloud providers do.
        let credential = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": { "token": User::Admin.token() },
        });
        let user = json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "echo",
            "args": [credential.to_string()],
            "interactiveMode": "Never",
        } });
        let file = site.plane.folder().join("exec.kubeconfig");
        kubeconfig::write(&file, &site.stack.url(), &site.plane.pki().ca_file(), &user)?;
        let kubeconfig = file.to_str().context("not UTF-8")?.to_owned();
        Ok(Self { site, kubeconfig })
    }

    /// Runs `check` with these arguments. Returns its exit code and its report.
    async fn check(&self, args: &[&str]) -> Result<(ExitCode, Value)> {
        self.run(&self.kubeconfig, "check", args).await
    }

    /// Runs a command with a kubeconfig. Returns its exit code and what it writes.
    async fn run(
        &self,
        kubeconfig: &str,
        command: &str,
        args: &[&str],
    ) -> Result<(ExitCode, Value)> {
        let url = format!("http://127.0.0.1:{}", self.site.stack.companion.port());
        let common = ["kubectl-skew", "--companion", &url, "--kubeconfig", kubeconfig];
        let command = [command, "-o", "json"];
        let args = common.iter().chain(&command).chain(args);
        let mut out = Vec::new();
        let code = Cli::try_parse_from(args)?.execute(&Screen::default(), &mut out).await?;
        Ok((code, serde_json::from_slice(&out)?))
    }

    /// Runs `check` until it ends with this code.
    async fn until(&self, args: &[&str], code: u8) -> Result<Value> {
        self.until_report(args, code, |_| Ok(())).await
    }

    /// Runs `check` until it ends with this code and a report that has what the test awaits: the
    /// code may be the same before the companion sees a change.
    async fn until_report(
        &self,
        args: &[&str],
        code: u8,
        has: impl Fn(&Value) -> Result<()>,
    ) -> Result<Value> {
        wait::until(&format!("check {args:?} to exit with {code}"), DEADLINE, async || {
            let (found, report) = self.check(args).await?;
            ensure!(found == ExitCode::from(code), "{found:?}: {report:#}");
            has(&report)?;
            Ok(report)
        })
        .await
    }

    /// In shadow mode, Envoy sends requests for a type to servers that do not serve it as well.
    async fn finds_the_same_in_shadow_mode(&mut self) -> Result<()> {
        self.site.stack.configure(json!({ "mode": Mode::Shadow }))?;
        self.site.stack.wait_for_map("shadow mode", |map| map.mode == Mode::Shadow).await?;
        let (code, report) = self.check(&["--stop", "old", "--rollback"]).await?;
        let unknown = report.get("findings").and_then(Value::as_array).into_iter().flatten();
        let unknown: Vec<_> = unknown.filter(|one| one["verdict"] == "unknown").collect();
        ensure!(code == ExitCode::from(1) && unknown.is_empty(), "{report:#}");
        assert_eq!(finding(&report, "rollback", BUNDLES_NAME)?["objects"], 3);
        self.site.stack.configure(json!({ "mode": Mode::Enforce }))?;
        self.site.stack.wait_for_map("enforcing", |map| map.mode == Mode::Enforce).await
    }

    /// Envoy reads files, so only its admin interface tells which map it uses.
    async fn the_map_of_envoy_is_compared(&self) -> Result<()> {
        let report = self.until(&["--stop", "old"], 0).await?;
        assert_eq!(finding(&report, "envoys", "")?["verdict"], "warning");
        let url = format!("http://127.0.0.1:{}/", self.site.stack.envoy.admin_port());
        let report = self.until(&["--stop", "old", "--envoy", &url], 0).await?;
        assert_eq!(finding(&report, "envoys", &url)?["verdict"], "yes");
        Ok(())
    }
}

/// Returns the finding of a check about a subject.
fn finding<'r>(report: &'r Value, check: &str, subject: &str) -> Result<&'r Value> {
    let findings = report["findings"].as_array().context("no findings")?;
    let mut findings = findings.iter();
    let found = findings.find(|one| one["check"] == check && one["subject"] == subject);
    found.with_context(|| format!("nothing about {subject} by {check}: {report:#}"))
}

/// Fails unless a rollback would strand the three bundles, with this verdict.
fn strands_bundles(report: &Value, verdict: &str) -> Result<()> {
    let stranded = finding(report, "rollback", BUNDLES_NAME)?;
    ensure!(stranded["verdict"] == verdict && stranded["objects"] == 3, "{stranded:#}");
    Ok(())
}

#[tokio::test]
async fn check_says_which_server_may_go_and_what_a_rollback_would_strand() -> Result<()> {
    let mut entry = Entry::begin("cluster_skew_check");
    let mut scene = Scene::start().await?;

    // Only the newer server has the type: it must stay, and the older one may go.
    let orphans_bundles = |report: &Value| {
        let orphans = finding(report, "orphans", "new")?;
        let mut types = orphans["types"].as_array().into_iter().flatten();
        ensure!(types.any(|name| name == BUNDLES_NAME), "{orphans}");
        Ok(())
    };
    let report = scene.until_report(&["--stop", "new"], 1, orphans_bundles).await?;
    let reason = finding(&report, "orphans", "new")?["reason"].to_string();
    // It was so from the start, unless the companion started before a slow server answered.
    let events = scene.site.stack.companion.json("/v1/events").await?;
    let mut events = events.as_array().context("no list")?.iter();
    let since =
        if events.any(|event| event["kind"] == "types") { "(for " } else { "(for more than " };
    ensure!(reason.contains(since), "not {since:?}: {reason}");
    let report = scene.until(&["--stop", "old"], 0).await?;
    assert_eq!(finding(&report, "orphans", "old")?["verdict"], "yes");
    assert_eq!(finding(&report, "rollback", "")?["verdict"], "yes");
    assert_eq!(finding(&report, "storage", "")?["verdict"], "yes");
    scene.until(&["--stop", "old", "--rollback"], 0).await?;

    // With objects, a rollback strands them.
    let admin = scene.site.client(Http::Two)?;
    for name in ["one", "two", "three"] {
        let bundle = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "ClusterTrustBundle",
            "metadata": { "name": name }, "spec": { "trustBundle": scene.site.plane.pki().ca_pem() },
        });
        admin.post(BUNDLES, &bundle).await?.ok()?;
    }
    let rollback = ["--stop", "old", "--rollback"];
    scene.until_report(&rollback, 1, |report| strands_bundles(report, "no")).await?;
    scene.until_report(&["--stop", "old"], 0, |report| strands_bundles(report, "warning")).await?;
    scene.finds_the_same_in_shadow_mode().await?;
    scene.the_map_of_envoy_is_compared().await?;

    // Once another server has the type, the newer one may go, too.
    scene.site.plane.add(ServerOptions::new("newest", NEWER))?.wait_ready().await?;
    scene.site.stack.set_peers(peers(&scene.site.plane))?;
    let report = scene.until(&["--stop", "new"], 0).await?;
    assert_eq!(finding(&report, "orphans", "new")?["verdict"], "yes");

    // After the last step no older server tells: the table does.
    scene.site.plane.server_mut(0)?.stop().await?;
    scene.site.stack.set_peers(peers(&scene.site.plane).split_off(1))?;
    let is_of_table = |report: &Value| {
        let reason = finding(report, "rollback", BUNDLES_NAME)?["reason"].to_string();
        ensure!(reason.contains(&format!("by Kubernetes {OLDER}: ")), "{reason}");
        Ok(())
    };
    let report = scene.until_report(&["--stop", "new", "--rollback"], 1, is_of_table).await?;
    assert_eq!(finding(&report, "rollback", BUNDLES_NAME)?["objects"], 3);
    scene.until(&["--stop", "new"], 0).await?;
    entry.set("stranded", 3);
    entry.passed()
}

#[tokio::test]
async fn check_names_custom_resources_whose_stored_version_is_not_served() -> Result<()> {
    let scene = Scene::start().await?;
    let admin = scene.site.client(Http::Two)?;
    let schema = json!({ "openAPIV3Schema": { "type": "object" } });
    let version = |name: &str, served: bool, storage: bool| json!({ "name": name, "served": served, "storage": storage, "schema": schema });
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.skew.example" },
        "spec": {
            "group": "skew.example", "scope": "Cluster",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget" },
            "versions": [version("v1beta1", true, true), version("v1", true, false)],
        },
    });
    admin.post(DEFINITIONS, &definition).await?.ok()?;
    scene.until(&["--stop", "old"], 0).await?;

    definition["spec"]["versions"] =
        json!([version("v1beta1", false, false), version("v1", true, true)]);
    let path = format!("{DEFINITIONS}/widgets.skew.example");
    wait::until("the definition to be changed", DEADLINE, async || {
        let known = admin.get(&path).await?.ok()?.json()?;
        let mut changed = definition.clone();
        changed["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
        admin.put(&path, &changed).await?.ok()?;
        anyhow::Ok(())
    })
    .await?;
    let names_it = |report: &Value| {
        let subject = "CustomResourceDefinition widgets.skew.example";
        let reason = finding(report, "storage", subject)?["reason"].to_string();
        ensure!(reason.contains("v1beta1, which is not served"), "{reason}");
        Ok(())
    };
    scene.until_report(&["--stop", "old"], 1, names_it).await?;
    Ok(())
}
