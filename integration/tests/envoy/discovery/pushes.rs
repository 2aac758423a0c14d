//! Maps that are pushed while clients read.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use discovery_map::{DocumentForm, MapDocument, MergedDocument};
use fake_apiserver::replay::Canned;
use harness::pushed::merged;
use harness::wait;
use reqwest::StatusCode;
use wire::client::Http;

use super::scene::{ASKED, DOCUMENTS, ROUNDS, V2, content, get, peer_etag, start};

#[tokio::test]
async fn a_document_that_a_push_removed_is_not_sent_in_part() -> Result<()> {
    let mut scene = start().await?;
    let documents = scene.map.documents.clone();
    let client = scene.client(Http::Two)?;
    let mut delay = Duration::from_secs(2);
    let answer = loop {
        let slow = Canned { status: StatusCode::NOT_MODIFIED, delay, ..Canned::default() };
        scene.all_answer_with("/apis", &slow);
        let (before, began) = (scene.fleet.peers[1].requests(), Instant::now());
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { get(&client, "/apis", &[("accept", V2)]).await }
        });
        wait::until("the server to be asked", Duration::from_secs(10), async || {
            ensure!(scene.fleet.peers[1].requests() > before, "not yet");
            anyhow::Ok(())
        })
        .await?;
        scene.push(|map| map.documents.clear()).await?;
        let came_before_the_answer = began.elapsed() < delay;
        let answer = waiting.await??;
        if came_before_the_answer {
            break answer;
        }
        // On a busy machine, a push can take longer: once more, with more time for it.
        delay *= 3;
        ensure!(delay < Duration::from_secs(30), "a push takes too long");
        scene.push(|map| map.documents.clone_from(&documents)).await?;
    };
    // The 304 answers a condition that the client did not set.
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));

    for peer in &scene.fleet.peers {
        peer.answer_as_recorded();
    }
    let answer = get(&client, "/apis", &[("accept", V2)]).await?.ok()?;
    assert_eq!(
        answer.header("etag"),
        Some(format!("\"{}\"", peer_etag(&scene, "/apis").await?)).as_deref()
    );
    scene.is_sound().await
}

#[tokio::test]
async fn a_changed_document_is_served_after_the_push() -> Result<()> {
    let mut scene = start().await?;
    let client = scene.client(Http::Two)?;
    for round in 0..5 {
        let (path, form) = ("/apis", DocumentForm::AggregatedV2);
        let changed = format!("{{\"round\":{round}}}");
        let document = merged(path, form, scene.set_of(ASKED)?, changed.as_bytes())?;
        let position = scene.map.documents.iter().position(|d| d.form == form && d.path == path);
        let position = position.context("no such document")?;
        let change = |map: &mut MapDocument| {
            let old = &mut map.documents[position];
            old.etag = Some(format!("R{round}"));
            (old.size, old.gzip) = (document.size, document.gzip.clone());
        };
        scene.push(change).await?;
        for _ in 0..ROUNDS {
            let answer = get(&client, path, &[("accept", V2)]).await?.ok()?;
            assert_eq!(
                (answer.text(), answer.header("etag")),
                (changed.clone(), Some(format!("\"R{round}\"").as_str()))
            );
        }
        let other = get(&client, "/api/v1", &[]).await?.ok()?;
        assert_eq!(other.body, content("/api/v1", DocumentForm::Plain));
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_map_that_misstates_its_documents_is_refused() -> Result<()> {
    let mut scene = start().await?;
    let good = scene.map.clone();
    let client = scene.client(Http::Two)?;
    let rejected = "extension_config_discovery.http_filter.mixed-version-proxy.update_rejected";
    let damages: [fn(&mut MergedDocument); 4] = [
        |document| document.size += 1,
        |document| document.size -= 1,
        |document| document.gzip = "AAAA".into(),
        |document| document.set = 99,
    ];
    for damage in damages {
        let before = scene.stack.envoy.stat(rejected).await?.unwrap_or_default();
        scene.map.documents = good.documents.clone();
        damage(&mut scene.map.documents[0]);
        scene.write()?;
        wait::until("the map to be refused", Duration::from_secs(20), async || {
            let now = scene.stack.envoy.stat(rejected).await?.unwrap_or_default();
            ensure!(now > before, "{now}");
            anyhow::Ok(())
        })
        .await?;
        assert_eq!(scene.stack.generation().await?, good.generation);
        for (path, form, accept) in DOCUMENTS {
            let answer = get(&client, path, &[("accept", accept)]).await?;
            assert_eq!(answer.text().as_bytes(), content(path, form));
        }
    }
    scene.push(|map| map.documents = good.documents.clone()).await?;
    Ok(())
}
