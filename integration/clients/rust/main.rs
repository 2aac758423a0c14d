//! Discovers and uses resources by kube: with each way of discovery that it
//! has, the kind of each object is resolved, and the object is created, read,
//! listed and deleted by that.
//!
//! `discovery-client KUBECONFIG CACHE MANIFEST…`; kube caches nothing on disk,
//! so `CACHE` is there to be called as the clients in Go and Python are. Prints
//! a JSON object: what was found by each way of discovery.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Discovery};
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};

#[derive(Debug, Parser)]
struct Arguments {
    kubeconfig: PathBuf,
    cache: PathBuf,
    manifests: Vec<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let kubeconfig = Kubeconfig::read_from(&arguments.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let mut objects = Vec::new();
    for manifest in &arguments.manifests {
        objects.push(serde_json::from_slice::<DynamicObject>(&std::fs::read(manifest)?)?);
    }
    let mut report = Map::new();
    let legacy = Discovery::new(client.clone()).run().await.context("legacy")?;
    report.insert("legacy".to_owned(), used(&client, &legacy, &objects).await?);
    let aggregated = Discovery::new(client.clone()).run_aggregated().await.context("aggregated")?;
    report.insert("aggregated".to_owned(), used(&client, &aggregated, &objects).await?);
    report.insert("of one kind".to_owned(), used_alone(&client, &objects).await?);
    println!("{}", Value::Object(report));
    Ok(())
}

/// Resolves all kinds by what was discovered, and uses them.
async fn used(client: &Client, found: &Discovery, objects: &[DynamicObject]) -> Result<Value> {
    let mut resources = 0;
    for group in found.groups() {
        resources += group.versions().map(|v| group.versioned_resources(v).len()).sum::<usize>();
    }
    let mut used = Vec::new();
    for object in objects {
        let (resource, _) = found
            .resolve_gvk(&kind(object)?)
            .with_context(|| format!("{:?} was not discovered", object.types))?;
        live(client, &resource, object).await.with_context(|| resource.plural.clone())?;
        used.push(resource.plural);
    }
    Ok(json!({ "groups": found.groups().count(), "resources": resources, "used": used }))
}

/// Resolves each kind by a question of its own, and uses it.
async fn used_alone(client: &Client, objects: &[DynamicObject]) -> Result<Value> {
    let mut used = Vec::new();
    for object in objects {
        let (resource, _) = kube::discovery::pinned_kind(client, &kind(object)?).await?;
        live(client, &resource, object).await.with_context(|| resource.plural.clone())?;
        used.push(resource.plural);
    }
    Ok(json!({ "used": used }))
}

fn kind(object: &DynamicObject) -> Result<GroupVersionKind> {
    let types = object.types.as_ref().context("a manifest without a kind")?;
    Ok(GroupVersionKind::try_from(types)?)
}

async fn live(client: &Client, resource: &ApiResource, object: &DynamicObject) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), resource);
    let name = object.name_any();
    api.create(&PostParams::default(), object).await.context("create")?;
    ensure!(api.get(&name).await.context("get")?.name_any() == name);
    let list = api.list(&ListParams::default()).await.context("list")?;
    ensure!(list.iter().any(|item| item.name_any() == name), "{name} is not listed");
    api.delete(&name, &DeleteParams::default()).await.context("delete")?;
    ensure!(api.get_opt(&name).await?.is_none(), "{name} is still there");
    Ok(())
}
