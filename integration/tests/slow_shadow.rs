//! Fifty switches between enforcing and shadow mode under load: `envoy/shadow.rs` makes fewer,
//! since the companion publishes once a second at most.

#[path = "envoy/shadow/switching.rs"]
mod switching;

#[tokio::test]
async fn fifty_switches_of_the_mode_fail_no_request() -> anyhow::Result<()> {
    switching::under_load(50).await
}
