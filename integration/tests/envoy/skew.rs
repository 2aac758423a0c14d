//! `kubectl skew` on a companion and Envoy, in front of fake API servers of two versions.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a missing field fails the test, as it should"
)]

mod differential;
pub mod doctor;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fake_apiserver::Version;
use harness::companion::Companion;
use harness::fleet::{Fleet, TOKEN};
use harness::kubeconfig;
use harness::stack::Stack;
use harness::wait;
use kubectl_skew::Screen;
use kubectl_skew::cli::Cli;
use serde_json::Value;

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";

const DEADLINE: Duration = Duration::from_secs(30);

/// Runs the command on a companion. Returns what it writes.
async fn skew(companion: &Companion, args: &[&str]) -> Result<String> {
    let url = format!("http://127.0.0.1:{}", companion.port());
    run(["--companion", &url].iter().chain(args).copied()).await
}

async fn run<'a>(args: impl Iterator<Item = &'a str>) -> Result<String> {
    let cli = Cli::try_parse_from(["kubectl-skew"].into_iter().chain(args))?;
    let mut out = Vec::new();
    cli.execute(&Screen::default(), &mut out).await?;
    Ok(String::from_utf8(out)?)
}

async fn json(companion: &Companion, args: &[&str]) -> Result<Value> {
    let args: Vec<_> = args.iter().copied().chain(["-o", "json"]).collect();
    Ok(serde_json::from_str(&skew(companion, &args).await?)?)
}

async fn start() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    Ok((fleet, stack))
}

#[tokio::test]
async fn the_matrix_shows_which_peer_serves_which_skewed_type() -> Result<()> {
    let (_fleet, stack) = start().await?;
    let text = skew(&stack.companion, &[]).await?;
    let row = |start: &str| {
        let line = text.lines().find(|line| line.starts_with(start));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>()).context(text.clone())
    };
    assert_eq!(row("cp-1")?[2..5], ["1.35", "serving", "yes"]);
    assert_eq!(row("cp-2")?[2..5], ["1.36", "serving", "yes"]);
    let policies = row("admissionregistration.k8s.io/v1 mutatingadmissionpolicies ")?;
    assert_eq!(policies[2..], ["-", "yes"]);
    assert!(!text.contains("v1 configmaps"), "{text}");
    assert!(skew(&stack.companion, &["--all", "-o", "wide"]).await?.contains("v1 configmaps"));

    let matrix = json(&stack.companion, &[]).await?;
    let yaml: Value = serde_saphyr::from_str(&skew(&stack.companion, &["-o", "yaml"]).await?)?;
    assert_eq!(matrix["types"], yaml["types"]);
    let types = matrix["types"].as_array().context("no types")?;
    let policies = types.iter().find(|row| row["resource"] == "mutatingadmissionpolicies");
    assert_eq!(policies.context("no policies")?["servedBy"], serde_json::json!(["cp-2"]));
    assert_eq!(matrix["typesSkewed"], stack.map().await.map(|map| skewed(&map))?);
    Ok(())
}

/// Counts the types of a map that not every peer in rotation serves.
fn skewed(map: &Value) -> usize {
    let json = serde_json::to_vec(map).unwrap();
    discovery_map::DiscoveryMap::from_json(&json).unwrap().skewed_targets()
}

#[tokio::test]
async fn a_peer_that_leaves_is_shown_with_what_only_it_serves() -> Result<()> {
    let (mut fleet, stack) = start().await?;
    let explain = ["explain", "get", "mutatingadmissionpolicies.admissionregistration.k8s.io"];
    let explained = json(&stack.companion, &explain).await?;
    assert_eq!((&explained["path"], &explained["rule"]), (&POLICIES.into(), &"skewed".into()));
    assert_eq!(explained["servingSet"], serde_json::json!(["cp-2"]));

    fleet.peer(1)?.set_ready(false);
    let gone = wait::until("503", DEADLINE, async || {
        let explained = json(&stack.companion, &["explain", POLICIES]).await?;
        ensure!(explained["rule"] == "unavailable", "{explained}");
        anyhow::Ok(explained)
    });
    let gone = gone.await?;
    assert_eq!((&gone["cluster"], &gone["notFound"]), (&Value::Null, &"noServer".into()));
    let text = skew(&stack.companion, &[]).await?;
    assert!(text.lines().any(|line| line.starts_with("cp-2") && line.contains("not ready")));
    assert!(text.contains("(yes)"), "{text}");
    Ok(())
}

/// Returns group, version, resource, verb and the positions of the servers of each skewed type.
fn rows(matrix: &Value, names: &[String]) -> BTreeSet<(String, Vec<bool>)> {
    let types = matrix["types"].as_array().unwrap();
    let row = |row: &Value| {
        let fields = ["group", "version", "resource", "verb", "namespaced"];
        let text = fields.map(|field| row[field].to_string()).join(" ");
        let servers = row["servedBy"].as_array().unwrap();
        (text, names.iter().map(|name| servers.contains(&name.as_str().into())).collect())
    };
    types.iter().map(row).collect()
}

#[tokio::test]
async fn without_a_companion_the_servers_themselves_give_the_same_matrix() -> Result<()> {
    let (fleet, stack) = start().await?;
    fleet.peers[0].drop_verb("apps", "v1", "deployments", "patch")?;
    let kubeconfig = fleet.folder().join("kubeconfig");
    let user = kubeconfig::by_token(Some(TOKEN));
    kubeconfig::write(&kubeconfig, &stack.url(), &fleet.pki().ca_file(), &user)?;
    let kubeconfig = kubeconfig.to_str().context("not UTF-8")?;
    let urls: Vec<_> = fleet.peers.iter().map(|peer| peer.url()).collect();
    let names: Vec<_> = urls.iter().map(|url| url.replace("https://", "")).collect();
    let args = ["--kubeconfig", kubeconfig, "-s", &urls[0], "--server", &urls[1]];
    let direct = run(args.iter().copied().chain(["--all", "-o", "json"])).await?;
    let direct = rows(&serde_json::from_str(&direct)?, &names);
    ensure!(direct.iter().any(|(name, _)| name.contains("\"patch\"")), "{direct:?}");
    wait::until("the same matrix from the companion", DEADLINE, async || {
        let known = json(&stack.companion, &["--all"]).await?;
        let known = rows(&known, &["cp-1".to_owned(), "cp-2".to_owned()]);
        ensure!(known == direct, "{:?}", known.symmetric_difference(&direct).collect::<Vec<_>>());
        Ok(())
    })
    .await?;
    let explain = ["explain", POLICIES];
    let explained = run(args.iter().copied().chain(explain)).await?;
    ensure!(explained.contains("skewed") && explained.contains(&names[1]), "{explained}");

    let nobody = ["--kubeconfig", kubeconfig, "-s", "https://127.0.0.1:1"];
    let error = run(nobody.into_iter()).await.unwrap_err().to_string();
    ensure!(error.contains("127.0.0.1:1"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_support_bundle_has_what_the_companion_knows_and_no_secret() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut options = fleet.stack_options()?;
    options.token = "token-of-the-companion".to_owned();
    let stack = Stack::start_with_map(options).await?;
    let kubeconfig = fleet.folder().join("kubeconfig");
    let user = kubeconfig::by_token(Some(TOKEN));
    kubeconfig::write(&kubeconfig, &stack.url(), &fleet.pki().ca_file(), &user)?;
    let kubeconfig = kubeconfig.to_str().context("not UTF-8")?;
    let text = skew(&stack.companion, &["--kubeconfig", kubeconfig, "support-bundle"]).await?;
    let bundle: Value = serde_json::from_str(&text)?;
    assert_eq!(bundle["companion"]["/v1/peers"].as_array().map(Vec::len), Some(2));
    assert!(bundle["companion"]["/v1/map"]["map"]["groups"].is_object());
    assert!(bundle["diagnosis"]["problems"].is_array());
    assert!(stack.url().ends_with(bundle["server"].as_str().context("no server")?));
    for secret in [TOKEN, &stack.options().token, "PRIVATE KEY", "Bearer"] {
        ensure!(!text.contains(secret), "the bundle has {secret}");
    }
    Ok(())
}

#[tokio::test]
async fn a_companion_that_does_not_answer_is_named() -> Result<()> {
    let (_fleet, mut stack) = start().await?;
    stack.companion.stop().await?;
    let error = skew(&stack.companion, &[]).await.unwrap_err();
    let url = format!("http://127.0.0.1:{}", stack.companion.port());
    assert!(format!("{error:#}").contains(&url), "{error:#}");
    Ok(())
}
