//! One VM of a worker serves several control planes: each has its own map.

use anyhow::{Result, ensure};
use harness::artifacts::Artifact;
use harness::wait;
use serde_json::json;
use wire::client::Client;

mod many;
mod site;

use many::{Many, control_plane};
use site::{DEADLINE, DECIDED, NAMES, Site, map};

/// Only `cp-2` of the golden map serves it.
const SKEWED: &str = "/api/v1/namespaces/n/pods/p/resize";

/// No server is known to serve it.
const UNKNOWN: &str = "/apis/nosuch.io/v1/foos";

/// Without a map yet.
const NO_MAP: &str = "null";

/// Returns what was decided for a request, as `status cluster`.
async fn decided(client: &Client, path: &str) -> Result<String> {
    let answer = client.get(path).await?;
    let cluster = answer.header(DECIDED).unwrap_or_default();
    Ok(format!("{} {cluster}", answer.status.as_u16()).trim().to_owned())
}

/// Returns what was decided for both control planes, on new connections.
async fn both(site: &Site) -> Result<[String; 2]> {
    let [first, second] = [site.client(NAMES[0]).await?, site.client(NAMES[1]).await?];
    // On each connection in turn.
    let once = [decided(&first, SKEWED).await?, decided(&second, SKEWED).await?];
    let again = [decided(&first, SKEWED).await?, decided(&second, SKEWED).await?];
    ensure!(once == again, "{once:?}, then {again:?}");
    Ok(once)
}

async fn waits_for(site: &Site, expected: [&str; 2]) -> Result<()> {
    wait::until("these decisions", DEADLINE, async || {
        let seen = both(site).await?;
        ensure!(seen == expected, "{seen:?}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn each_control_plane_is_answered_by_its_own_map() -> Result<()> {
    let [first, second] = [map("first")?, map("second")?];
    let mut site = Site::start(Artifact::Filter, [&first.to_string(), &second.to_string()]).await?;
    assert_eq!(both(&site).await?, ["200 first_cp-2", "200 second_cp-2"]);

    // A push to one.
    let mut other = map("first")?;
    other["generation"] = json!(43);
    other["sets"][1]["cluster"] = json!("first_other");
    site.push("first", &other.to_string()).await?;
    waits_for(&site, ["200 first_other", "200 second_cp-2"]).await?;

    // One that is refused, and one that is none.
    for refused in ["{}", NO_MAP] {
        site.push("second", refused).await?;
        assert_eq!(both(&site).await?, ["200 first_other", "200 second_cp-2"], "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn a_control_plane_without_a_map_gets_no_other_ones() -> Result<()> {
    let map = map("second")?.to_string();
    for maps in [[NO_MAP, &map], [&map, NO_MAP]] {
        let expected = maps.map(|own| if own == NO_MAP { "503" } else { "200 second_cp-2" });
        let site = Site::start(Artifact::Filter, maps).await?;
        assert_eq!(both(&site).await?, expected);
    }
    let mut site = Site::start(Artifact::Filter, [NO_MAP, NO_MAP]).await?;
    assert_eq!(both(&site).await?, ["503", "503"]);
    site.push("first", "{}").await?;
    assert_eq!(both(&site).await?, ["503", "503"]);
    site.push("second", &map).await?;
    waits_for(&site, ["503", "200 second_cp-2"]).await
}

#[tokio::test]
async fn the_servers_of_one_control_plane_prove_nothing_of_another() -> Result<()> {
    let mut site = Site::start(Artifact::Filter, [NO_MAP, NO_MAP]).await?;
    // All servers of the first one are there; the second one has one more.
    let mut maps = [map("first")?, map("second")?];
    maps[0]["rotation"] = json!([site.server]);
    maps[1]["rotation"] = json!([site.server, "127.0.0.9:6443"]);
    for (name, map) in NAMES.into_iter().zip(&maps) {
        site.push(name, &map.to_string()).await?;
    }
    waits_for(&site, ["200 first_cp-2", "200 second_cp-2"]).await?;
    let clients = [site.client(NAMES[0]).await?, site.client(NAMES[1]).await?];
    for _ in 0..3 {
        assert_eq!(decided(&clients[0], UNKNOWN).await?, "404");
        assert_eq!(decided(&clients[1], UNKNOWN).await?, "503");
    }
    // The other way round.
    for (map, generation) in maps.iter_mut().zip([50, 51]) {
        map["generation"] = json!(generation);
    }
    maps[0]["rotation"] = json!(["127.0.0.9:6443", site.server]);
    maps[1]["rotation"] = json!([site.server]);
    for (name, map) in NAMES.into_iter().zip(&maps) {
        site.push(name, &map.to_string()).await?;
    }
    wait::until("the evidence to change", DEADLINE, async || {
        let seen = [decided(&clients[0], UNKNOWN).await?, decided(&clients[1], UNKNOWN).await?];
        ensure!(seen == ["503", "404"], "{seen:?}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn after_a_trap_each_control_plane_has_its_map_again() -> Result<()> {
    let [first, second] = [map("first")?.to_string(), map("second")?.to_string()];
    let mut site = Site::start(Artifact::FilterTrap, [&first, &second]).await?;
    assert_eq!(both(&site).await?, ["200 first_cp-2", "200 second_cp-2"]);
    for name in NAMES {
        let client = site.client(name).await?;
        assert_eq!(decided(&client, "/trap").await?, "503");
        waits_for(&site, ["200 first_cp-2", "200 second_cp-2"]).await?;
    }
    let reloads = "wasm.mixed-version-proxy/second.vm_reload_success";
    assert!(site.envoy.stat(reloads).await?.unwrap_or_default() > 0);
    // One gets a map while nobody has a VM.
    drop(decided(&site.client("first").await?, "/trap").await?);
    let mut other = map("second")?;
    other["generation"] = json!(43);
    other["sets"][1]["cluster"] = json!("second_other");
    site.push("second", &other.to_string()).await?;
    waits_for(&site, ["200 first_cp-2", "200 second_other"]).await
}

#[tokio::test]
async fn control_planes_that_come_and_go_leave_no_maps_behind() -> Result<()> {
    const ROUNDS: usize = 4;
    const COUNT: usize = 40;
    const SIZE: usize = 200_000;
    let mut many = Many::start().await?;
    let stays = control_plane("stays", 10)?;
    let mut memory = Vec::new();
    for round in 0..ROUNDS {
        let named = |number| control_plane(&format!("cp-{round}-{number}"), SIZE);
        let come = (0..COUNT).map(named).chain([Ok(stays.clone())]).collect::<Result<Vec<_>>>()?;
        many.serve(&come).await?;
        many.serve(std::slice::from_ref(&stays)).await?;
        // Only now: the worker has dropped the maps of those that left, so it had read all of them.
        memory.push(many.memory()?);
    }
    // Two threads have a VM each, if not also Envoy kept the maps.
    let kept = u64::try_from((ROUNDS - 1) * COUNT * SIZE * 2)?;
    let grown = memory[ROUNDS - 1].saturating_sub(memory[0]);
    assert!(grown < kept / 2, "{memory:?}: {grown} of {kept}");
    Ok(())
}
