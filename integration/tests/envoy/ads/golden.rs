//! The golden test: the same snapshot by files and over ADS is the same in Envoy.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::ads::{self, AdsSite};
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::stack::Stack;
use harness::wait;
use pki::Pki;
use serde_json::Value;

use super::DEADLINE;

/// Everything that Envoy got, by type and name.
type Dump = BTreeMap<String, Value>;

/// Where in Envoy's dump resources are, and what has their names.
const PLACES: [(&str, &str, &str); 4] = [
    ("ClustersConfigDump", "dynamic_active_clusters", "/cluster"),
    ("EndpointsConfigDump", "dynamic_endpoint_configs", "/endpoint_config"),
    ("EcdsConfigDump", "ecds_filters", "/ecds_filter"),
    ("SecretsConfigDump", "dynamic_active_secrets", "/secret"),
];

#[tokio::test]
async fn envoy_has_equal_resources_from_files_and_over_ads() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut options = fleet.stack_options()?;
    let pki = Pki::create(fleet.folder().join("front-proxy"))?;
    options.front_proxy = Some(pki.client("front-proxy-client", "front-proxy-client", &[])?);
    let site = AdsSite::new(options.clone())?;
    let stack = Stack::start_with_map(options).await?;
    let companion = site.companion("companion-1").await?;
    let envoy = ads::start(&site, "envoy-1", &companion).await?;
    companion.wait_for_envoys(1).await?;
    wait::until("both to have the same", DEADLINE, async || {
        let [files, ads] = [dump(&stack.envoy).await?, dump(&envoy).await?];
        // Two clusters and their twins, at least.
        ensure!(files.len() > 10, "{:?}", files.keys());
        ensure!(files.keys().eq(ads.keys()), "{:?} {:?}", files.keys(), ads.keys());
        for (name, value) in &files {
            ensure!(ads.get(name) == Some(value), "{name}:\n{value:#}\n{:#}", ads[name]);
        }
        anyhow::Ok(())
    })
    .await
}

async fn dump(envoy: &Envoy) -> Result<Dump> {
    let dump = envoy.config_dump().await?;
    let configs = dump["configs"].as_array().context("no dump")?;
    let mut found = Dump::new();
    for (kind, list, resource) in PLACES {
        let suffix = format!(".{kind}");
        let sections = configs
            .iter()
            .filter(|config| config["@type"].as_str().is_some_and(|name| name.ends_with(&suffix)));
        for entry in sections.flat_map(|section| section[list].as_array()).flatten() {
            let mut value = entry.pointer(resource).context("no resource")?.clone();
            let name = value["name"].as_str().or_else(|| value["cluster_name"].as_str());
            let name = format!("{kind} {}", name.context("no name")?);
            if is_compared(&name, &value) {
                neutral(&mut value);
                found.insert(name, value);
            }
        }
    }
    Ok(found)
}

/// The certificates that each Envoy has in its own files are not compared, and not the endpoints of
/// the companions.
fn is_compared(name: &str, value: &Value) -> bool {
    let is_secret = name.starts_with("SecretsConfigDump");
    let is_peer_ca = name.starts_with("SecretsConfigDump peer-ca-");
    (!is_secret || is_peer_ca) && value["cluster_name"] != "companion"
}

/// Replaces what the way to Envoy decides: where it gets what a resource names, the name of the
/// certificate that it has itself, and the generation.
fn neutral(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for source in ["eds_config", "sds_config"] {
                if let Some(source) = fields.get_mut(source) {
                    *source = "source".into();
                }
            }
            fields.values_mut().for_each(neutral);
        }
        Value::Array(entries) => entries.iter_mut().for_each(neutral),
        Value::String(text) if text.starts_with("front-proxy") => *text = "front-proxy".into(),
        Value::String(text) if text.contains("\"generation\":") => {
            if let Ok(mut map) = serde_json::from_str::<Value>(text) {
                map["generation"] = 0.into();
                *text = map.to_string();
            }
        }
        _ => {}
    }
}
