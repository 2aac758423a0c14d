//! Who a client is, asked of every server straight and of every server through
//! Envoy.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use harness::control_plane::Kubectl;
use harness::site::{Landed, Site};
use reqwest::Method;
use serde_json::{Value, json};
use wire::client::Client;

/// The servers take turns; this many requests reach all.
const MANY: usize = 50;

/// `status.userInfo`, which must be the same from all servers straight, and
/// from all of them through Envoy's `cluster`. `ask` sends one request.
pub async fn same_everywhere(
    site: &Site,
    cluster: &str,
    ask: impl AsyncFn(&str) -> Result<Value>,
) -> Result<Value> {
    let mut direct = Vec::new();
    for server in site.plane.servers() {
        direct.push(ask(&server.url()).await?);
    }
    let user = direct.first().context("no server")?;
    ensure!(direct.iter().all(|of| of == user), "the servers differ: {direct:#?}");

    let mut answered = BTreeSet::new();
    for _ in 0..MANY {
        let before = site.landed().await?;
        let through = ask(&site.stack.url()).await?;
        ensure!(*user == through, "directly\n{user:#}\nthrough Envoy\n{through:#}");
        let landed = grown(&before, &site.landed().await?);
        let [(of, server)] = landed.as_slice() else {
            anyhow::bail!("one request went to {landed:?}");
        };
        ensure!(of == cluster, "by {of}, not by {cluster}");
        answered.insert(server.clone());
        if answered.len() == direct.len() {
            return Ok(user.clone());
        }
    }
    anyhow::bail!("of {MANY} requests all went to {answered:?}")
}

/// Returns the cluster and the server of each request that was sent between the two.
fn grown(before: &Landed, after: &Landed) -> Vec<(String, String)> {
    let count = |landed: &Landed, cluster: &str, server: &str| {
        landed.get(cluster).and_then(|servers| servers.get(server)).copied().unwrap_or_default()
    };
    let mut grown = Vec::new();
    for (cluster, servers) in after {
        for (server, &requests) in servers {
            for _ in count(before, cluster, server)..requests {
                grown.push((cluster.clone(), server.clone()));
            }
        }
    }
    grown
}

/// Returns the output of `kubectl auth whoami`.
pub async fn whoami(kubectl: &Kubectl, arguments: &[&str]) -> Result<Value> {
    let arguments = [&["auth", "whoami", "-o", "json"], arguments].concat();
    user_info(&kubectl.run(&arguments).await?.json()?)
}

/// Returns the same without kubectl, with these headers.
pub async fn review(client: &Client, headers: &[(&str, &str)]) -> Result<Value> {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let mut request =
        client.request(Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("content-type", "application/json").body(review.to_string());
    user_info(&client.send(request).await?.ok()?.json()?)
}

fn user_info(review: &Value) -> Result<Value> {
    review.pointer("/status/userInfo").cloned().context("no userInfo")
}
