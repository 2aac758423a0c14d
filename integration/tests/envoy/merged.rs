//! Merged discovery and doubtful 404s as clients see them, including the companion's
//! part, in front of two servers that each have types of their own.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use discovery_map::{DiscoveryMap, DocumentEncoding};
use fake_apiserver::Version;
use fake_apiserver::replay::Crd;
use harness::companion::STORAGE;
use harness::fleet::Fleet;
use harness::stack::Stack;
use reqwest::{Method, StatusCode};
use routing::encode;
use serde_json::Value;
use wire::client::{Answer, Client, Http};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const CUSTOM: &str = "only-on-one.example.com";

/// Often enough to meet every server many times.
const ROUNDS: usize = 50;

/// Returns a 1.35 with a group of its own, and a 1.36.
async fn start() -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    fleet.peers[0].add_crd(Crd::new(CUSTOM, "Widget"))?;
    let stack = fleet.stack().await?;
    let knows = |map: &DiscoveryMap| map.group(CUSTOM.as_bytes()).is_some();
    stack.wait_for_map("both servers' types", knows).await?;
    stack.wait_for_storage_versions().await?;
    Ok((fleet, stack))
}

async fn get(client: &Client, path: &str, accept: &str) -> Result<Answer> {
    client.send(client.request(Method::GET, path).header("accept", accept)).await?.ok()
}

/// Returns the names at these places: `items/*/metadata/name`.
fn names(value: &Value, place: &str) -> BTreeSet<String> {
    match place.split_once('/').unwrap_or((place, "")) {
        ("", _) => value.as_str().map(str::to_owned).into_iter().collect(),
        ("*", rest) => {
            let elements = value.as_array().into_iter().flatten();
            elements.flat_map(|element| names(element, rest)).collect()
        }
        (field, rest) => names(&value[field], rest),
    }
}

#[tokio::test]
async fn every_form_lists_the_union_and_is_the_same_every_time() -> Result<()> {
    let (fleet, stack) = start().await?;
    let resources = "items/*/versions/*/resources/*/resource";
    // Path, what is accepted, where the names are, and names of either server.
    let table = [
        ("/apis", V2, resources, ["mutatingadmissionpolicies", "widgets"]),
        ("/apis", V2BETA1, resources, ["mutatingadmissionpolicies", "widgets"]),
        ("/apis", V2, "items/*/metadata/name", ["apps", CUSTOM]),
        ("/apis", "application/json", "groups/*/name", ["apps", CUSTOM]),
        (
            ADMISSION,
            "*/*",
            "resources/*/name",
            ["mutatingadmissionpolicies", "validatingwebhookconfigurations"],
        ),
        ("/apis/only-on-one.example.com", "*/*", "versions/*/version", ["v1", "v1"]),
        ("/apis/only-on-one.example.com/v1", "*/*", "resources/*/name", ["widgets", "widgets"]),
        ("/api/v1", "application/json", "resources/*/name", ["pods", "pods/log"]),
        ("/api", V2, resources, ["pods", "configmaps"]),
    ];
    for (path, accept, place, expected) in table {
        let mut seen = BTreeSet::new();
        for round in 0..ROUNDS {
            let http = if round % 2 == 0 { Http::One } else { Http::Two };
            // A new connection: another worker, another server.
            let client = fleet.client(&stack.url(), http)?;
            let answer = get(&client, path, accept).await?;
            let etag = answer.header("etag").map(str::to_owned);
            if let (Some(etag), true) = (&etag, round < 4) {
                let request = client.request(Method::GET, path).header("accept", accept);
                let again = client.send(request.header("if-none-match", etag)).await?;
                assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path} {accept}");
            }
            seen.insert((etag, answer.text()));
        }
        assert_eq!(seen.len(), 1, "{path} {accept} differs");
        let (_, text) = seen.pop_first().unwrap_or_default();
        let found = names(&serde_json::from_str(&text)?, place);
        for name in expected {
            assert!(found.contains(name), "{path} {accept} lacks {name}: {found:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_encoding_says_the_same_every_time() -> Result<()> {
    let (fleet, stack) = start().await?;
    let forms = [
        ("/apis", V2),
        ("/apis", V2BETA1),
        ("/apis", "application/json"),
        (ADMISSION, "application/json"),
    ];
    let encodings = [
        ("json", "", DocumentEncoding::Json),
        ("json", ";pretty=1", DocumentEncoding::IndentedJson),
        ("yaml", "", DocumentEncoding::Yaml),
        ("vnd.kubernetes.protobuf", "", DocumentEncoding::Protobuf),
    ];
    for (path, form) in forms {
        let json = get(&fleet.client(&stack.url(), Http::Two)?, path, form).await?.body;
        for (subtype, parameter, encoding) in encodings {
            let accept = form.replacen("json", subtype, 1) + parameter;
            let expected = encode(&json, encoding);
            for round in 0..20 {
                let http = if round % 2 == 0 { Http::One } else { Http::Two };
                let answer = get(&fleet.client(&stack.url(), http)?, path, &accept).await?;
                assert_eq!(Some(answer.body), expected, "{path} as {accept}");
            }
        }
    }
    Ok(())
}

/// Each resource with the hash of its storage version, if it has one.
async fn hashes(client: &Client, path: &str) -> Result<BTreeMap<String, Option<String>>> {
    let document = get(client, path, "application/json").await?.json()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let resources = document["resources"].as_array().into_iter().flatten();
    Ok(resources
        .filter_map(|resource| {
            Some((text(&resource["name"])?, text(&resource["storageVersionHash"])))
        })
        .collect())
}

#[tokio::test]
async fn a_storage_version_hash_is_there_only_where_the_servers_agree() -> Result<()> {
    let (fleet, stack) = start().await?;
    let [old, new] = &fleet.peers[..] else { anyhow::bail!("two servers") };
    let old = hashes(&fleet.client(&old.url(), Http::Two)?, STORAGE).await?;
    let new = hashes(&fleet.client(&new.url(), Http::Two)?, STORAGE).await?;
    let agreed = |(name, hash): (&String, &Option<String>)| {
        (name.clone(), hash.clone().filter(|hash| old[name].as_ref() == Some(hash)))
    };
    let expected: BTreeMap<_, _> = new.iter().map(agreed).collect();
    ensure!(expected != new && expected.values().flatten().count() > 3, "{expected:?}");
    for round in 0..ROUNDS {
        let http = if round % 2 == 0 { Http::One } else { Http::Two };
        assert_eq!(hashes(&fleet.client(&stack.url(), http)?, STORAGE).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn every_listed_type_can_be_used() -> Result<()> {
    let (fleet, stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let document = get(&client, "/apis", V2).await?.json()?;
    let mut asked = 0;
    for group in document["items"].as_array().into_iter().flatten() {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array().into_iter().flatten() {
            let version_name = version["version"].as_str().unwrap_or_default();
            get(&client, &format!("/apis/{name}/{version_name}"), "application/json").await?;
            for resource in version["resources"].as_array().into_iter().flatten() {
                let verbs = names(resource, "verbs/*");
                if !verbs.contains("list") {
                    continue;
                }
                let plural = resource["resource"].as_str().unwrap_or_default();
                client.get(&format!("/apis/{name}/{version_name}/{plural}")).await?.ok()?;
                asked += 1;
            }
        }
    }
    ensure!(asked > 40, "only {asked} resources");
    Ok(())
}

#[tokio::test]
async fn a_type_that_was_just_added_is_never_denied() -> Result<()> {
    let (fleet, stack) = start().await?;
    let clients = [fleet.client(&stack.url(), Http::One)?, fleet.client(&stack.url(), Http::Two)?];
    for number in 0..20 {
        let group = format!("new{number}.example.com");
        fleet.peers[number % 2].add_crd(Crd::new(&group, "Gadget"))?;
        // Until the map has it, any server may be asked.
        let mut served = 0;
        while served < 4 {
            for client in &clients {
                for path in ["/v1/gadgets", "/v1", ""] {
                    let answer = client.get(&format!("/apis/{group}{path}")).await?;
                    match answer.status {
                        StatusCode::OK => served += 1,
                        _ => anyhow::bail!("{group}{path} is not answered: {answer:?}"),
                    }
                }
            }
        }
    }
    // Some were asked for before the map had them.
    let outcomes = "mixed_version_proxy_type_level_not_found_total";
    let answered = stack.envoy.metric(outcomes, &["outcome=\"answered\""]).await?;
    ensure!(answered > 0.0, "the companion was never faster than the clients: nothing is tested");
    // A type that no server has is still denied.
    for client in &clients {
        let answer = client.get("/apis/never.example.com/v1/gadgets").await?;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found\n"));
    }
    Ok(())
}

#[tokio::test]
async fn without_skew_nothing_is_merged_and_the_servers_answer_themselves() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    let direct = fleet.client(&fleet.peers[0].url(), Http::Two)?;
    for (path, accept) in [("/apis", V2), ("/api", V2), ("/apis", "*/*"), (ADMISSION, "*/*")] {
        let expected = get(&direct, path, accept).await?;
        let found = get(&client, path, accept).await?;
        assert_eq!(
            (found.text(), found.header("etag")),
            (expected.text(), expected.header("etag"))
        );
    }
    stack.wait_for_map("a map without documents", |map| map.has_no_documents()).await?;
    assert_eq!(stack.envoy.metric("mixed_version_proxy_merged_documents_total", &[]).await?, 0.0);
    Ok(())
}

#[tokio::test]
async fn without_the_companion_404s_are_asked_of_every_server_all_the_same() -> Result<()> {
    let (fleet, mut stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    stack.companion.kill_9();
    let answer = client.get("/apis/nosuch.io/v1/foos").await?;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let outcomes = "mixed_version_proxy_type_level_not_found_total";
    assert_eq!(stack.envoy.metric(outcomes, &["outcome=\"denied_by_all\""]).await?, 1.0);
    // Documents are there as long as Envoy is.
    let answer = get(&client, "/apis", V2).await?;
    ensure!(answer.text().contains(CUSTOM));
    Ok(())
}
