//! Fifty switches to shadow mode and back under load: `envoy/shadow.rs` makes fewer,
//! since the companion publishes once a second at most.

#[path = "envoy/shadow/switching.rs"]
mod switching;

#[tokio::test]
async fn fifty_switches_of_the_mode_and_back_fail_no_request() -> anyhow::Result<()> {
    switching::under_load(100).await
}
