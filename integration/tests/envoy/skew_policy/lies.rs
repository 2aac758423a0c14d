//! A `User-Agent` is a claim: a lie gains nothing.

use anyhow::Result;
use discovery_map::DECISION_HEADER;
use fake_apiserver::replay::Rules;
use reqwest::Method;
use wire::client::Http;

use super::{COMMON, KUBECTL, NEWER, SKEWED, denying, log, start};

/// As many components as one worker names (`filter/core/src/skew_log.rs`).
const MOST_LOGGED: usize = 32;

/// What a liar may try with each path.
const CLAIMS: [&[(&str, &str)]; 3] = [
    &[("user-agent", NEWER)],
    &[
        ("user-agent", NEWER),
        ("x-remote-user", "system:node:n"),
        ("x-remote-group", "system:nodes"),
    ],
    &[
        ("user-agent", NEWER),
        ("x-mixed-version-proxy-cluster", "kube-apiserver__from-1-36__front-proxy"),
    ],
];

#[tokio::test]
async fn whoever_claims_to_be_a_component_is_refused_what_it_is_refused_otherwise() -> Result<()> {
    let (fleet, stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for rules in [Rules::default(), denying()] {
        fleet.peers.iter().for_each(|peer| peer.set_rules(rules.clone()));
        for path in [COMMON, SKEWED, "/apis/nosuch.io/v1/foos", "/healthz"] {
            let honest = client.send_with(Method::GET, path, &[("user-agent", KUBECTL)]).await?;
            for claims in CLAIMS {
                let lying = client.send_with(Method::GET, path, claims).await?;
                assert_eq!(lying.status, honest.status, "{path} {claims:?}");
                assert_eq!(lying.header(DECISION_HEADER), None, "{path} {claims:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn claimed_versions_do_not_fill_the_log() -> Result<()> {
    let (fleet, mut stack) = start().await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    for minor in 100..300 {
        let claim = format!("kubelet/v1.{minor}.0 (linux/amd64) kubernetes/1a2b3c4");
        client.send_with(Method::GET, COMMON, &[("user-agent", &claim)]).await?.ok()?;
    }
    let lines = log(&mut stack)?.len();
    let workers = usize::try_from(stack.options().concurrency)?;
    assert!(lines > 0 && lines <= workers * MOST_LOGGED, "{lines} lines");
    Ok(())
}
