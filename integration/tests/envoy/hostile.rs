//! Bytes that only hostile clients send, in the path and in every header. The
//! filter's VM must survive them all, because its end is the end of every stream
//! of the worker.

use std::time::Duration;

use anyhow::{Result, ensure};
use fake_apiserver::Version;
use harness::fleet::Fleet;
use wire::client::Http;
use wire::raw::Raw;

/// Envoy closes a connection that asks for it long before.
const DEADLINE: Duration = Duration::from_secs(30);

/// Paths as bytes, for the request line.
fn hostile_paths() -> Vec<Vec<u8>> {
    let mut paths: Vec<Vec<u8>> = [
        "/api/v1/namespaces/%00/pods",
        "/api/v1/%ff%fe/x",
        "/api/v1/pods/%",
        "/api/v1/pods/%zz",
        "/api/v1/../../etc/passwd",
        "//api/v1/pods",
        "/api//v1///pods",
        "/apis/%2F%2F%2F/v1/x",
        "/api/v1/namespaces//pods//",
        "/apis/admissionregistration.k8s.io/v1/%6dutatingadmissionpolicies",
        "/api/v1/pods?%ff",
        "/api/v1/pods#x",
        "/api/v1;x=y/pods",
        "/watch/watch/watch",
        "/api/v1/watch",
        "/apis/////////////////////",
        "/api/v1/namespaces/n/services/s/proxy/%2e%2e/%00",
        "http://example.com/api/v1/pods",
        "*",
    ]
    .map(|path| path.as_bytes().to_vec())
    .to_vec();
    paths.push(b"/api/v1/namespaces/\xff\xfe/pods".to_vec());
    paths.push(b"/apis/\x80\x81/v1/\xc3\x28".to_vec());
    paths.push([b"/api/v1/pods/".to_vec(), vec![b'a'; 20_000]].concat());
    paths.push([b"/api/v1/namespaces/n/pods/p/proxy".to_vec(), b"/x".repeat(10_000)].concat());
    paths.push([b"/".to_vec(), b"%41".repeat(5_000)].concat());
    paths
}

/// Headers that the filter or Envoy reads, and some that they do not.
const HEADERS: [&str; 8] = [
    "Accept",
    "Content-Type",
    "Authorization",
    "User-Agent",
    "X-Mixed-Version-Proxy-Cluster",
    "X-Forwarded-For",
    "Cookie",
    "X-Anything",
];

fn hostile_values() -> Vec<Vec<u8>> {
    vec![
        b"\xff\xfe\xfd".to_vec(),
        b"\x80".to_vec(),
        b"caf\xe9".to_vec(),
        b"application/vnd.kubernetes.protobuf\xff".to_vec(),
        b"application/json;".repeat(1_000),
        Vec::new(),
        (0x21..=0xff).filter(|&byte| byte != 0x7f).collect(),
    ]
}

#[tokio::test]
async fn hostile_bytes_never_end_the_vm_of_the_filter() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let mut options = fleet.stack_options()?;
    // One worker: every request meets the same VM.
    options.concurrency = 1;
    let mut stack = harness::stack::Stack::start(options).await?;
    let raw = Raw::new(stack.port(), &fleet.pki().ca_pem(), None)?;

    let mut requests = 0;
    for path in hostile_paths() {
        let line = [b"GET ", path.as_slice(), b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"];
        raw.exchange(&line.concat(), DEADLINE).await?;
        requests += 1;
    }
    // A path of each kind of decision, for each reads other headers.
    let policies = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/x";
    for path in
        ["/api/v1/namespaces/n/configmaps/absent", policies, "/apis/nosuch.io/v1/x", "/healthz"]
    {
        for header in HEADERS {
            for value in hostile_values() {
                let mut request =
                    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{header}: ")
                        .into_bytes();
                request.extend(value);
                request.extend(format!("\r\n{header}: again\r\n\r\n").bytes());
                raw.exchange(&request, DEADLINE).await?;
                requests += 1;
            }
        }
    }
    assert!(requests > 200, "{requests}");

    for name in ["vm_reload", "vm_reload_backoff", "vm_reload_failure", "vm_reload_success"] {
        let stat = format!("wasm.mixed-version-proxy.{name}");
        assert_eq!(stack.envoy.stat(&stat).await?.unwrap_or_default(), 0, "{name}");
    }
    let log = std::fs::read_to_string(stack.envoy.process().log())?;
    ensure!(!log.contains("panicked at"), "the filter panicked:\n{log}");
    let client = fleet.client(&stack.url(), Http::Two)?;
    client.get("/api/v1/namespaces/default/configmaps").await?.ok()?;
    client.get("/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies").await?.ok()?;
    Ok(())
}
