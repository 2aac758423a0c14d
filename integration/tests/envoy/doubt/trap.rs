//! The filter at the servers fails: this build traps on a response that it is
//! entered for only to remove a mark.

use std::time::Duration;

use harness::artifacts::Artifact;
use harness::wait;
use serde_json::json;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_failed_filter_at_the_servers_repeats_nothing_and_comes_back() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36; 2]).await?;
    let module = Artifact::FilterTrap.path()?;
    let scene = PushedStack::of(fleet, |options| {
        let envoy = json!({ "directory": options.published(), "filterModule": module });
        if let Some(companion) = options.companion.as_object_mut() {
            companion.insert("envoy".to_owned(), envoy);
        }
    });
    let scene = scene.await?;
    let client = scene.client(Http::Two)?;
    let mut trap = canned(StatusCode::CREATED, "application/json", "{}")?;
    trap.headers.insert(discovery_map::DOUBT_HEADER, HeaderValue::from_static("1"));
    scene.all_answer_with("/api/v1/namespaces/default/pods", &trap);
    for _ in 0..3 {
        let asked = counted(&scene, async || {
            let answer = client.post("/api/v1/namespaces/default/pods", &json!({})).await;
            // It was executed: nobody may be told to repeat it.
            let may_repeat = |answer: &Answer| answer.header("retry-after").is_some();
            ensure!(answer.as_ref().is_ok_and(|answer| answer.status == 503), "{answer:?}");
            ensure!(!answer.as_ref().is_ok_and(may_repeat), "{answer:?}");
            Ok(())
        });
        assert_eq!(asked.await?.iter().sum::<u64>(), 1);
        wait::until("the filter to be back", DEADLINE, async || {
            let answer = client.get("/api/v1/nodes").await?;
            ensure!(answer.status == StatusCode::OK, "{answer:?}");
            let answer = client.get(&format!("{CONFIG_MAPS}/absent")).await?;
            ensure!(answer.status == StatusCode::NOT_FOUND, "{answer:?}");
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}
