//! The companion runs: its map is late by a poll, and servers join.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fake_apiserver::replay::Crd;
use harness::manifests::custom_object;
use tokio::task::JoinSet;

use super::*;

/// Types that come one after the other: 1,000 and more requests on all numbers of servers.
const TYPES: usize = 12;
const OBJECTS: usize = 5;

fn collection(group: &str) -> String {
    format!("/apis/{group}/v1/namespaces/default/things")
}

/// Sends every verb for one object. `knows` must answer each of them.
async fn all_verbs(client: &Client, knows: &str, group: &str, name: &str) -> Result<usize> {
    let (all, one) = (collection(group), format!("{}/{name}", collection(group)));
    let object = custom_object("things", group, name).to_string();
    let write = |method, path: &str, content_type| {
        client.request(method, path).header(CONTENT_TYPE, content_type).body(object.clone())
    };
    let requests = [
        write(Method::POST, &all, "application/json"),
        client.request(Method::GET, &one),
        client.request(Method::HEAD, &one),
        write(Method::PUT, &one, "application/json"),
        write(Method::PATCH, &one, "application/merge-patch+json"),
        client.request(Method::GET, &all),
        client.request(Method::DELETE, &one),
    ];
    let count = requests.len();
    for (step, request) in requests.into_iter().enumerate() {
        let answer = client.send(request).await?;
        let is_expected = server(&answer) == knows && answer.status.is_success();
        ensure!(is_expected, "step {step} of {name} in {group}: {answer:?}");
    }
    Ok(count)
}

#[tokio::test]
async fn while_the_companion_learns_of_a_type_the_one_that_knows_it_answers_every_verb()
-> Result<()> {
    let mut sent = 0;
    for servers in [2, 3, 5] {
        let fleet = Fleet::start(&vec![Version::V1_36; servers]).await?;
        let stack = fleet.stack().await?;
        let clients = [Http::One, Http::Two].map(|http| fleet.client(&stack.url(), http));
        let clients = clients.into_iter().collect::<Result<Vec<_>>>()?;
        for number in 0..TYPES {
            let peer = &fleet.peers[number % servers];
            let group = format!("late-{number}.example");
            peer.add_crd(Crd::new(&group, "Thing"))?;
            for object in 0..OBJECTS {
                let client = &clients[object % 2];
                let name = format!("of-{object}");
                let verbs = all_verbs(client, peer.name(), &group, &name).await;
                sent += verbs.with_context(|| format!("{servers} servers"))?;
            }
        }
    }
    ensure!(sent >= 1_000, "{sent}");
    Ok(())
}

/// When a request began and ended, and what it got.
type Seen = (Instant, Instant, Answer);

/// Asks for a collection until it is told to stop, and at least once after that.
async fn asks(client: Client, path: String, stop: Arc<AtomicBool>) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    loop {
        let (is_last, began) = (stop.load(Ordering::Relaxed), Instant::now());
        let answer = client.get(&path).await?;
        seen.push((began, Instant::now(), answer));
        if is_last {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_a_server_that_joins_has_served_is_never_denied_afterwards() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36; 3]).await?;
    let mut options = fleet.stack_options()?;
    // Another worker may learn of an endpoint some moments later.
    options.concurrency = 1;
    let stack = harness::stack::Stack::start_with_map(options).await?;
    for round in 0..3 {
        let joins = &fleet.peers[2];
        joins.set_ready(false);
        let has_left = |map: &DiscoveryMap| map.rotation.len() == 2 && !map.just_left;
        stack.wait_for_map("a map without the server", has_left).await?;
        let group = format!("joins-{round}.example");
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..6 {
            let http = if number % 2 == 0 { Http::One } else { Http::Two };
            let client = fleet.client(&stack.url(), http)?;
            clients.spawn(asks(client, collection(&group), Arc::clone(&stop)));
        }
        joins.add_crd(Crd::new(&group, "Thing"))?;
        joins.set_ready(true);
        let is_back = |map: &DiscoveryMap| map.rotation.len() == 3;
        stack.wait_for_map("a map with the server", is_back).await?;
        // The last requests of all clients begin after this one, which it served.
        let client = fleet.client(&stack.url(), Http::Two)?;
        let own = wait::until("the type to be served", DEADLINE, async || {
            let began = Instant::now();
            let answer = client.get(&collection(&group)).await?;
            ensure!(answer.status.is_success(), "{answer:?}");
            anyhow::Ok((began, Instant::now(), answer))
        })
        .await?;
        stop.store(true, Ordering::Relaxed);
        let seen = clients.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        let seen = [seen.concat(), vec![own]].concat();
        let served = seen.iter().filter(|(.., answer)| answer.status.is_success());
        let first = served.map(|(_, ended, _)| *ended).min().context("never served")?;
        let mut after = seen.iter().filter(|(began, ..)| *began > first);
        ensure!(after.clone().count() > 0, "nobody asked after it had joined");
        let wrong = after.find(|(.., answer)| !answer.status.is_success());
        ensure!(wrong.is_none(), "after it was served: {wrong:?}");
    }
    Ok(())
}
