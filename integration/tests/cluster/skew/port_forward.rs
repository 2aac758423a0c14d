//! `kubectl skew` without `--companion`: it finds the companion's pod, and forwards its port through an API
//! server and a kubelet.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use harness::control_plane::{KubeletOptions, KubeletStandIn, pod};
use harness::skew::NEWER;
use harness::wait;
use kubectl_skew::Screen;
use kubectl_skew::cli::Cli;
use pki::ports::free_port;
use serde_json::{Value, json};
use wire::client::Http;

use super::{DEADLINE, Scene};

const NAMESPACE: &str = "mixed-version-proxy";

impl Scene {
    /// Runs a command that has to find the companion itself.
    async fn found(&self, args: &[&str]) -> Result<Value> {
        let common = ["kubectl-skew", "--kubeconfig", &self.kubeconfig, "-o", "json"];
        let args = common.iter().chain(args);
        let mut out = Vec::new();
        let code = Cli::try_parse_from(args)?.execute(&Screen::default(), &mut out).await?;
        ensure!(code == ExitCode::SUCCESS, "{code:?}");
        Ok(serde_json::from_slice(&out)?)
    }

    async fn refused(&self, args: &[&str]) -> Result<String> {
        let found = self.found(args).await;
        Ok(format!("{:#}", found.err().context("it should have failed")?))
    }
}

/// Starts a node that forwards ports, and a namespace for the pods.
async fn node(scene: &Scene) -> Result<KubeletStandIn> {
    let admin = scene.site.client(Http::Two)?;
    let namespace = json!({ "metadata": { "name": NAMESPACE } });
    admin.post("/api/v1/namespaces", &namespace).await?.ok()?;
    let options = KubeletOptions { forwards: true, ..KubeletOptions::new("node-0", NEWER) };
    scene.site.plane.kubelet(&options).await
}

/// Returns a pod with the labels of the chart.
fn companion(name: &str, container: &str) -> Value {
    let mut pod = pod(name, container);
    let metadata = json!({
        "name": name, "labels": { "app.kubernetes.io/name": "mixed-version-proxy" },
    });
    pod.as_object_mut().into_iter().for_each(|pod| {
        pod.insert("metadata".to_owned(), metadata.clone());
    });
    pod
}

#[tokio::test]
async fn the_companion_is_reached_by_port_forward_through_envoy() -> Result<()> {
    let scene = Scene::start().await?;
    let node = node(&scene).await?;
    let port = scene.site.stack.companion.port().to_string();
    let args = ["--companion-port", &port];

    let error = scene.refused(&args).await?;
    ensure!(error.contains("found no companion pod in any namespace"), "{error}");
    // A pod of Envoy alone has the same labels.
    node.run(NAMESPACE, &companion("envoy", "envoy")).await?;
    let error = scene.refused(&args).await?;
    ensure!(error.contains("found no companion pod"), "{error}");

    node.run(NAMESPACE, &companion("companion-0", "companion")).await?;
    let url = format!("http://127.0.0.1:{port}");
    // The companion may push merged OpenAPI documents between the two commands.
    let (matrix, direct) = wait::until("one map both ways", DEADLINE, async || {
        let matrix = scene.found(&args).await?;
        let direct = scene.found(&["--companion", &url]).await?;
        let generations = [&matrix, &direct].map(|found| &found["generation"]);
        ensure!(generations[0] == generations[1], "{generations:?}");
        anyhow::Ok((matrix, direct))
    })
    .await?;
    assert_eq!(matrix["types"], direct["types"]);
    ensure!(matrix["types"].as_array().is_some_and(|types| !types.is_empty()), "{matrix:#}");

    // By its name, which needs no label; several requests go over one connection.
    node.run_pod(NAMESPACE, "another").await?;
    let named = ["--companion-pod", "another", "-n", NAMESPACE, "--companion-port", &port];
    assert_eq!(scene.found(&named).await?["types"], direct["types"]);
    Ok(())
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_is_an_error_with_its_cause() -> Result<()> {
    let scene = Scene::start().await?;
    let node = node(&scene).await?;
    node.run(NAMESPACE, &companion("companion-0", "companion")).await?;
    let port = free_port()?.to_string();
    let error = scene.refused(&["--companion-port", &port]).await?;
    ensure!(error.contains("connection refused") && error.contains(&port), "{error}");
    Ok(())
}
