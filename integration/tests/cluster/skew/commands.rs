//! `kubectl skew` on the real pair: what it writes for people and as JSON, from a companion and straight from
//! the API servers.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use harness::control_plane::User;
use harness::kubeconfig;
use harness::report::Entry;
use harness::wait;
use kubectl_skew::Screen;
use kubectl_skew::cli::Cli;
use serde_json::Value;

use super::{BUNDLES, BUNDLES_NAME, DEADLINE, Scene};

/// What `explain` is asked, with the rule of the decision table that it must name.
const REQUESTS: [(&[&str], &str); 4] = [
    (&["explain", BUNDLES], "skewed"),
    (&["explain", "list", "clustertrustbundles.certificates.k8s.io"], "skewed"),
    (&["explain", "/api/v1/namespaces/default/pods"], "common"),
    (&["explain", "/healthz"], "not_an_api"),
];

/// Runs a command. Returns what it writes.
async fn written(args: &[&str]) -> Result<String> {
    let mut out = Vec::new();
    let args = ["kubectl-skew"].iter().chain(args);
    Cli::try_parse_from(args)?.execute(&Screen::default(), &mut out).await?;
    Ok(String::from_utf8(out)?)
}

/// Runs a command twice. Returns what it writes for people, and as JSON.
async fn both(from: &[&str], command: &[&str]) -> Result<(String, Value)> {
    let args: Vec<_> = from.iter().chain(command).copied().collect();
    let json = written(&[args.as_slice(), &["-o", "json"]].concat()).await?;
    Ok((written(&args).await?, serde_json::from_str(&json)?))
}

/// Returns the names of the peers that serve the type which only the newer server has.
fn servers_of_bundles(matrix: &Value) -> Result<Vec<&str>> {
    let mut types = matrix["types"].as_array().context("no types")?.iter();
    let bundles = types.find(|row| row["resource"] == "clustertrustbundles");
    let names = bundles.context("no clustertrustbundles")?["servedBy"].as_array();
    Ok(names.context("no list")?.iter().filter_map(Value::as_str).collect())
}

#[tokio::test]
async fn the_matrix_and_explain_say_what_the_servers_do() -> Result<()> {
    let mut entry = Entry::begin("cluster_skew_commands");
    let scene = Scene::start().await?;
    let url = format!("http://127.0.0.1:{}", scene.site.stack.companion.port());
    let companion = ["--companion", &*url, "--kubeconfig", &*scene.kubeconfig];
    let servers = scene.site.plane.servers();
    let urls: Vec<_> = servers.iter().map(|server| server.url()).collect();
    let (old, new) = (urls.first().context("no server")?, urls.last().context("no server")?);
    let direct = ["-s", old, "--server", new, "--kubeconfig", &scene.kubeconfig];
    let name = new.replace("https://", "");

    for (from, expected) in [(&companion[..], "new"), (&direct[..], &name)] {
        wait::until("the matrix", DEADLINE, async || {
            let (text, json) = both(from, &[]).await?;
            ensure!(text.contains(BUNDLES_NAME), "{text}");
            let found = servers_of_bundles(&json)?;
            ensure!(found == [expected], "{found:?}");
            anyhow::Ok(())
        })
        .await?;
        for (command, rule) in REQUESTS {
            // A busy server may say for a moment that it is not ready.
            wait::until(rule, DEADLINE, async || {
                let (text, json) = both(from, command).await?;
                ensure!(json["rule"] == *rule, "{command:?}: {json:#}");
                ensure!(text.starts_with("Request:"), "{command:?}: {text}");
                if rule == "skewed" {
                    ensure!(json["servingSet"] == serde_json::json!([expected]), "{json:#}");
                    ensure!(text.contains(&format!("Serving set: {expected}")), "{text}");
                }
                anyhow::Ok(())
            })
            .await?;
        }
    }

    let bundle = written(&[&companion[..], &["support-bundle"]].concat()).await?;
    let parsed: Value = serde_json::from_str(&bundle)?;
    ensure!(parsed["companion"]["/v1/map"]["map"]["groups"].is_object(), "{parsed:#}");
    let token = User::Admin.token().context("no token")?;
    for secret in [token, "PRIVATE KEY"] {
        ensure!(!bundle.contains(secret), "the bundle has {secret}");
    }
    entry.set("commands", 2 * (2 + 2 * REQUESTS.len()) + 1);
    entry.passed()
}

#[tokio::test]
async fn a_hosted_control_planes_companion_is_found_in_the_hosting_cluster() -> Result<()> {
    let scene = Scene::start().await?;
    // Its kubeconfig names a cluster that cannot be reached: only the companion's pod is looked for there.
    let hosting = scene.site.plane.folder().join("hosting.kubeconfig");
    let user = kubeconfig::by_token(Some("none"));
    kubeconfig::write(&hosting, "https://127.0.0.1:1", &scene.site.plane.pki().ca_file(), &user)?;
    let hosting = hosting.to_str().context("not UTF-8")?;
    let args = ["--kubeconfig", &*scene.kubeconfig, "--companion-kubeconfig", hosting, "check"];
    let error = written(&args).await.err().context("it found a pod")?;
    let error = format!("{error:#}");
    ensure!(error.contains("cannot list the companion's pods"), "{error}");
    Ok(())
}
