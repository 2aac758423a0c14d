//! The story: requests without and with the filter, then a live upgrade.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::stack::Stack;
use harness::wait;
use wire::client::Client;

use super::peers::Peers;

/// A type that 1.36 serves in v1 and 1.35 does not.
pub const SKEWED: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";

/// The requests of each kind that go through either Envoy.
const REQUESTS: usize = 60;

const KINDS: [(&str, &str, u16); 4] = [
    ("a type that only 1.36 serves", SKEWED, 200),
    ("a type that all servers serve", "/api/v1/namespaces/default/configmaps", 200),
    ("an object that does not exist", "/api/v1/namespaces/default/configmaps/absent", 404),
    ("a type that no server has", "/apis/nosuch.example.com/v1/widgets", 404),
];

/// Tells the story; what is left running is the Envoy with the filter.
pub async fn tell(peers: &mut Peers) -> Result<Stack> {
    let begun = Instant::now();
    println!("\nThree API servers in the middle of an upgrade:\n");
    for (name, version) in peers.versions() {
        println!("    {name}  {version}");
    }

    println!("\n1. Envoy as a plain round robin. {REQUESTS} requests of each kind:\n");
    let mut options = peers.stack_options("plain")?;
    options.filter = false;
    let plain = Stack::start(options).await?;
    let wrong = send(&peers.client(&plain.url())?).await?;
    ensure!(wrong > 0, "the servers are not skewed: nothing to show");
    println!("\n   {wrong} wrong 404s. To a garbage collector each says that the owner is gone.");
    drop(plain);

    println!("\n2. Envoy with the filter, and the companion that tells it who serves what:\n");
    let stack = Stack::start_with_map(peers.stack_options("filter")?).await?;
    let wrong = send(&peers.client(&stack.url())?).await?;
    ensure!(wrong == 0, "{wrong} wrong 404s in spite of the filter");
    println!("\n   No wrong 404, and the true ones are all there.");

    upgrade(peers, &stack).await?;
    println!("\nThat was the story, in {} s.", begun.elapsed().as_secs());
    Ok(stack)
}

/// Sends the requests; how many got a wrong 404.
async fn send(client: &Client) -> Result<usize> {
    let mut all_wrong = 0;
    println!("   {:<34}{:>6}{:>6}{:>7}{:>12}", "", "200", "404", "other", "wrong 404s");
    for (kind, path, expected) in KINDS {
        let (mut ok, mut not_found, mut other) = (0, 0, 0);
        for _ in 0..REQUESTS {
            match client.get(path).await?.status.as_u16() {
                200 => ok += 1,
                404 => not_found += 1,
                _ => other += 1,
            }
        }
        let wrong = if expected == 404 { 0 } else { not_found };
        all_wrong += wrong;
        println!("   {kind:<34}{ok:>6}{not_found:>6}{other:>7}{wrong:>12}");
    }
    Ok(all_wrong)
}

async fn upgrade(peers: &mut Peers, stack: &Stack) -> Result<()> {
    let before = stack.map().await?;
    println!("\n3. One server is upgraded, live. Who serves {SKEWED}:\n");
    println!("   before   {}", servers(&before));
    let upgrading = Instant::now();
    let name = peers.upgrade_one().await?;
    let ready = Instant::now();
    wait::until("the map to follow", Duration::from_secs(30), async || {
        let map = stack.map().await?;
        ensure!(servers(&map).contains(&name), "{name} does not serve it yet");
        ensure!(
            Some(stack.generation().await?) == map.pointer("/generation").and_then(|g| g.as_u64())
        );
        anyhow::Ok(())
    })
    .await?;
    println!("   after    {}", servers(&stack.map().await?));
    let (took, followed) = (ready - upgrading, ready.elapsed());
    println!(
        "\n   The upgrade took {:.1} s, and Envoy's workers had the new map {:.1} s after it.",
        took.as_secs_f32(),
        followed.as_secs_f32(),
    );
    let wrong = send(&peers.client(&stack.url())?).await?;
    ensure!(wrong == 0, "{wrong} wrong 404s after the upgrade");
    Ok(())
}

/// Returns the names of the servers that serve the skewed type, by the pushed map.
fn servers(map: &serde_json::Value) -> String {
    let find = || {
        let sets = map.pointer("/groups/admissionregistration.k8s.io/v1")?.as_object()?;
        let has = |resources: &serde_json::Value| {
            let names = resources.pointer("/cluster").and_then(|names| names.as_array());
            names.is_some_and(|names| names.iter().any(|name| name == "mutatingadmissionpolicies"))
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
