//! The story: requests without and with the filter, then a live upgrade.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::skew::only_in;
use harness::stack::Stack;
use harness::wait;
use serde_json::json;
use wire::client::Client;

use super::peers::{NEWER, OLDER, Peers};

/// What the story asks for.
pub struct Kinds {
    /// The collection that only the newer version serves.
    pub skewed: String,
    /// Words, path and right status of each kind of request.
    kinds: [(String, String, u16); 4],
}

impl Kinds {
    /// Chooses the type by what the versions differ in.
    pub fn new() -> Result<Self> {
        let skewed = only_in(NEWER, OLDER)?;
        let maps = "/api/v1/namespaces/default/configmaps";
        let kind = |words: &str, path: &str, status| (words.to_owned(), path.to_owned(), status);
        let kinds = [
            kind(&format!("a type that only {NEWER} serves"), &skewed, 200),
            kind("a type that all servers serve", maps, 200),
            kind("an object that does not exist", &format!("{maps}/absent"), 404),
            kind("a type that no server has", "/apis/nosuch.example.com/v1/widgets", 404),
        ];
        Ok(Self { skewed, kinds })
    }

    /// Returns group-version and name of the skewed type.
    pub fn resource(&self) -> (&str, &str) {
        let path = self.skewed.trim_start_matches("/apis/");
        path.rsplit_once('/').unwrap_or_default()
    }
}

/// The requests of each kind that go through either Envoy.
const REQUESTS: usize = 60;

/// Tells the story; what is left running is the Envoy with the filter, with its files in `folder`
/// if there is one.
pub async fn tell(peers: &mut Peers, kinds: &Kinds, folder: Option<&Path>) -> Result<Stack> {
    let begun = Instant::now();
    println!("\nThree API servers in the middle of an upgrade:\n");
    for (name, version) in peers.versions() {
        println!("    {name}  {version}");
    }

    println!("\n1. Envoy as a plain round robin. {REQUESTS} requests of each kind:\n");
    let mut options = peers.stack_options("plain")?;
    options.filter = false;
    let plain = Stack::start(options).await?;
    let wrong = send(&peers.client(&plain.url())?, kinds).await?;
    ensure!(wrong > 0, "the servers are not skewed: nothing to show");
    println!("\n   {wrong} wrong 404s. To a garbage collector each says that the owner is gone.");
    drop(plain);

    println!("\n2. Envoy with the filter, and the companion that tells it who serves what:\n");
    let mut options = peers.stack_options("filter")?;
    options.answering_version = None;
    options.companion = json!({ "mode": "enforce" });
    if let Some(folder) = folder {
        options.folder = folder.to_owned();
    }
    let stack = Stack::start_with_map(options).await?;
    let wrong = send(&peers.client(&stack.url())?, kinds).await?;
    ensure!(wrong == 0, "{wrong} wrong 404s in spite of the filter");
    println!("\n   No wrong 404, and the true ones are all there.");

    upgrade(peers, &stack, kinds).await?;
    println!("\nThat was the story, in {} s.", begun.elapsed().as_secs());
    Ok(stack)
}

/// Sends the requests; how many got a wrong 404.
async fn send(client: &Client, kinds: &Kinds) -> Result<usize> {
    let mut all_wrong = 0;
    println!("   {:<34}{:>6}{:>6}{:>7}{:>12}", "", "200", "404", "other", "wrong 404s");
    for (kind, path, expected) in &kinds.kinds {
        let (mut ok, mut not_found, mut other) = (0, 0, 0);
        for _ in 0..REQUESTS {
            match client.get(path).await?.status.as_u16() {
                200 => ok += 1,
                404 => not_found += 1,
                _ => other += 1,
            }
        }
        let wrong = if *expected == 404 { 0 } else { not_found };
        all_wrong += wrong;
        println!("   {kind:<34}{ok:>6}{not_found:>6}{other:>7}{wrong:>12}");
    }
    Ok(all_wrong)
}

async fn upgrade(peers: &mut Peers, stack: &Stack, kinds: &Kinds) -> Result<()> {
    let before = stack.map().await?;
    println!("\n3. One server is upgraded, live. Who serves {}:\n", kinds.skewed);
    println!("   before   {}", servers(&before, kinds));
    let upgrading = Instant::now();
    let name = peers.upgrade_one().await?;
    let ready = Instant::now();
    wait::until("the map to follow", Duration::from_secs(30), async || {
        let map = stack.map().await?;
        ensure!(servers(&map, kinds).contains(&name), "{name} does not serve it yet");
        ensure!(
            Some(stack.generation().await?) == map.pointer("/generation").and_then(|g| g.as_u64())
        );
        anyhow::Ok(())
    })
    .await?;
    println!("   after    {}", servers(&stack.map().await?, kinds));
    let (took, followed) = (ready - upgrading, ready.elapsed());
    println!(
        "\n   The upgrade took {:.1} s, and Envoy's workers had the new map {:.1} s after it.\n",
        took.as_secs_f32(),
        followed.as_secs_f32(),
    );
    let wrong = send(&peers.client(&stack.url())?, kinds).await?;
    ensure!(wrong == 0, "{wrong} wrong 404s after the upgrade");
    Ok(())
}

/// Returns the names of the servers that serve the skewed type, by the pushed map.
fn servers(map: &serde_json::Value, kinds: &Kinds) -> String {
    let (group_version, name) = kinds.resource();
    let find = || {
        let sets = map.pointer(&format!("/groups/{group_version}"))?.as_object()?;
        let has = |resources: &serde_json::Value| {
            let names = resources.pointer("/cluster").and_then(|names| names.as_array());
            names.is_some_and(|names| names.iter().any(|one| one == name))
        };
        let (set, _) = sets.iter().find(|(_, resources)| has(resources))?;
        let members = map.pointer(&format!("/sets/{set}/peers"))?.as_array()?;
        let names: Vec<_> = members
            .iter()
            .filter_map(|member| map.pointer(&format!("/peers/{member}/name"))?.as_str())
            .collect();
        Some(names.join(", "))
    };
    find().unwrap_or_else(|| "no server".to_owned())
}
