//! The companion's permissions in the hosting cluster are the least: without any verb it cannot
//! follow the slices, and it has no other.

use anyhow::{Context, Result, ensure};
use harness::wait;
use serde_json::{Value, json};
use wire::client::Client;

use super::cluster::{Cluster, DEADLINE, Running};
use crate::hosted::{pods::NAMESPACE, source_reports};

const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/hosted/roles/mixed-version-proxy";

pub async fn are_least(cluster: &Cluster, running: &mut Running) -> Result<()> {
    let admin = cluster.admin(&cluster.plane.server(1)?.url())?;
    let mut role = admin.get(ROLE).await?.ok()?.json()?;
    if let Some(metadata) = role["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let rules = role["rules"].as_array().context("rules")?.clone();
    let mut removed = 0;
    for (number, rule) in rules.iter().enumerate() {
        let verbs = rule["verbs"].as_array().context("verbs")?;
        for verb in verbs {
            let others: Vec<_> = verbs.iter().filter(|other| *other != verb).collect();
            let mut less = role.clone();
            less["rules"][number]["verbs"] = json!(others);
            works_with(&admin, running, &less, false)
                .await
                .with_context(|| format!("without {verb}"))?;
            works_with(&admin, running, &role, true)
                .await
                .with_context(|| format!("with {verb}"))?;
            removed += 1;
        }
    }
    ensure!(removed == 2, "{removed} verbs");
    has_no_other(&admin).await
}

/// Starts the companion anew with this role, and waits until it follows the slices, or cannot.
async fn works_with(
    admin: &Client,
    running: &mut Running,
    role: &Value,
    works: bool,
) -> Result<()> {
    admin.put(ROLE, role).await?.ok()?;
    wait::until("the API server to know the role", DEADLINE, async || {
        let (verbs, mut allowed) = (["list", "watch"], true);
        for verb in verbs {
            allowed &= is_allowed(admin, verb, "discovery.k8s.io", "endpointslices").await?;
        }
        ensure!(allowed == works, "allowed: {allowed}");
        Ok(())
    })
    .await?;
    // A watch that runs is not asked again.
    running.companion.stop().await?;
    running.companion.start_again().await?;
    let (state, error) = if works { ("fresh", "") } else { ("failing", "forbidden") };
    source_reports(&running.companion, state, error).await
}

/// Asks the API server what the account may do beside what every account may.
async fn has_no_other(admin: &Client) -> Result<()> {
    let attempts = [
        ("get", "", "secrets"),
        ("list", "", "pods"),
        ("get", "", "configmaps"),
        ("get", "discovery.k8s.io", "endpointslices"),
        ("update", "discovery.k8s.io", "endpointslices"),
        ("list", "", "services"),
    ];
    for (verb, group, resource) in attempts {
        let allowed = is_allowed(admin, verb, group, resource).await?;
        ensure!(!allowed, "it may {verb} {resource}");
    }
    Ok(())
}

async fn is_allowed(admin: &Client, verb: &str, group: &str, resource: &str) -> Result<bool> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": format!("system:serviceaccount:{NAMESPACE}:mixed-version-proxy"),
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {
                "namespace": NAMESPACE,
                "verb": verb,
                "group": group,
                "resource": resource,
            },
        },
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = admin.post(path, &review).await?.ok()?.json()?;
    answer["status"]["allowed"].as_bool().context("no decision")
}
