//! The harness itself: Envoy by func-e, with an admin interface and a listener
//! with a direct response.

use std::time::Duration;

use anyhow::Result;
use harness::envoy::{Envoy, EnvoyOptions};
use harness::wait;
use tempfile::TempDir;
use wire::client::Client;

const BOOTSTRAP: &str = r#"
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
static_resources:
  listeners:
    - name: hello
      address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: hello
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: hello
                      domains: ["*"]
                      routes:
                        - match: { prefix: / }
                          direct_response: { status: 200, body: { inline_string: hello } }
"#;

#[tokio::test]
async fn envoys_run_side_by_side_and_end_with_their_handles() -> Result<()> {
    let folders = (TempDir::new()?, TempDir::new()?);
    let mut first = Envoy::start(EnvoyOptions::new(BOOTSTRAP, folders.0.path())).await?;
    let second = Envoy::start(EnvoyOptions::new(BOOTSTRAP, folders.1.path())).await?;
    for envoy in [&first, &second] {
        let client = Client::plain(envoy.listener_port("hello").await?)?;
        assert_eq!(client.get("/").await?.body, b"hello");
        assert_eq!(envoy.stat("http.hello.downstream_rq_2xx").await?, Some(1));
        let labels =
            [r#"envoy_http_conn_manager_prefix="hello""#, r#"envoy_response_code_class="2""#];
        assert!((envoy.metric("envoy_http_downstream_rq_xx", &labels).await? - 1.0).abs() < 0.1);
        assert!(envoy.config_dump().await?.to_string().contains("direct_response"));
    }
    let pids = (first.pid()?, second.pid()?);
    second.stop().await?;
    first.process().kill_9();
    for pid in [pids.0, pids.1] {
        wait::until_true("Envoy to be gone", Duration::from_secs(10), async || {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            state.map_or(true, |state| state.contains(" Z "))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_bootstrap_that_envoy_refuses_is_reported_with_its_reason() -> Result<()> {
    let folder = TempDir::new()?;
    let error = Envoy::start(EnvoyOptions::new("nosuch: {}", folder.path())).await.unwrap_err();
    assert!(format!("{error:#}").contains("nosuch"), "{error:#}");
    Ok(())
}
