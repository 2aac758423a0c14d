//! The clients of `integration/clients`, each through Envoy with all ways of
//! discovery that its library has.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use harness::control_plane::User;
use harness::manifests::{policy, trust_bundle};
use harness::site::Site;
use serde_json::{Map, Value, json};

use super::program::Program;

/// How often each client runs, each time with an empty cache.
const RUNS: usize = 2;

/// The types that the clients create; one server has each.
const USED: [&str; 2] = ["mutatingadmissionpolicies", "clustertrustbundles"];

/// Returns the clients by name.
pub fn all() -> [(&'static str, Result<Program>); 3] {
    let rust = Program::new(PathBuf::from(env!("CARGO_BIN_EXE_discovery-client")));
    [
        ("clientGo", Program::named_by("MVP_CLIENT_GO")),
        ("clientPython", Program::named_by("MVP_CLIENT_PYTHON")),
        ("clientRust", Ok(rust)),
    ]
}

/// Checks that all ways of discovery find the same, and that every type found can be
/// used. Returns the findings.
pub async fn works(site: &Site, client: Result<Program>) -> Result<Value> {
    let client = client?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = site.plane.kubeconfig(&site.stack.url(), User::Admin)?;
    let objects = [policy("by-client"), trust_bundle("by-client", &site.plane.pki().ca_pem())];
    let mut arguments = vec![kubeconfig, PathBuf::new()];
    for (number, object) in objects.iter().enumerate() {
        let file = folder.path().join(format!("{number}.json"));
        fs::write(&file, object.to_string())?;
        arguments.push(file);
    }
    let mut first = None;
    for run in 0..RUNS {
        let cache = folder.path().join(format!("cache-{run}"));
        fs::create_dir(&cache)?;
        if let Some(argument) = arguments.get_mut(1) {
            *argument = cache;
        }
        let said = client.run(&arguments).await?.ok().with_context(|| format!("run {run}"))?;
        let found: Map<String, Value> = serde_json::from_str(&said)?;
        check(&found)?;
        let first = first.get_or_insert_with(|| found.clone());
        ensure!(*first == found, "{first:?} at first, then {found:?}");
    }
    Ok(json!({ "user": format!("{:?}", User::Admin), "runs": RUNS, "found": first }))
}

fn check(found: &Map<String, Value>) -> Result<()> {
    ensure!(!found.is_empty(), "nothing was found");
    let counts = |way: &Value| (way.get("groups").cloned(), way.get("resources").cloned());
    // A way that asks for one kind has no counts.
    let mut counted = found.values().map(counts).filter(|(groups, _)| groups.is_some());
    let first = counted.next();
    ensure!(counted.all(|other| Some(&other) == first.as_ref()), "they differ: {found:?}");
    for (name, way) in found {
        ensure!(way.get("used") == Some(&json!(USED)), "{name}: {way}");
    }
    Ok(())
}
