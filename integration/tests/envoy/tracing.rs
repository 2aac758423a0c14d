//! Spans of requests, with the filter's decision: Envoy with the section of `envoy-config/tracing`,
//! in front of a 1.35 (`cp-1`) and a 1.36 (`cp-2`), and a collector of OpenTelemetry.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::artifacts::integration_folder;
use harness::differences::differences;
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::stack::{Stack, StackOptions};
use harness::terminal::Terminal;
use harness::{transcript, wait};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::Value;
use wire::client::Http;

mod collector;

use collector::{Collector, Span, text, traceparent};

const DOCUMENT: &str = "docs/operations/tracing.md";
const SERVICE: &str = "mixed-version-proxy";
const DECISION: &str = "mixed_version_proxy.decision";

const COMMON: &str = "/api/v1/namespaces/default/configmaps";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";
const UNKNOWN: &str = "/apis/nosuch.example.com/v1/things";

/// Envoy sends spans every five seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// Runs the document's command on a configuration.
fn add_tracing(file: &Path) -> Result<()> {
    let steps = transcript::read(DOCUMENT, "integration/tests/envoy/tracing.rs")?;
    let [step] = &steps[..] else { anyhow::bail!("not one command: {steps:?}") };
    let place = "/etc/mixed-version-proxy/envoy.yaml";
    ensure!(step.command.contains(place), "{}", step.command);
    let command = step.command.replace(place, file.to_str().context("not UTF-8")?);
    Terminal::open(&integration_folder().join(".."), &[])?.run(&command)?;
    Ok(())
}

/// Starts a stack whose Envoy traces every request.
async fn start(options: StackOptions, collector: &Collector) -> Result<Stack> {
    let mut stack = Stack::start_with_map(options).await?;
    let mut options = stack.envoy.options().clone();
    let file = options.folder.join("with-tracing.yaml");
    fs::write(&file, &options.bootstrap)?;
    add_tracing(&file)?;
    options.bootstrap = fs::read_to_string(&file)?;
    let port = format!("port_value: {}", collector.port());
    let options = options
        .replacing("port_value: 4317", &port)?
        .replacing("random_sampling: { value: 1 }", "random_sampling: { value: 100 }")?;
    stack.envoy.stop().await?;
    stack.envoy = Envoy::start(options).await?;
    Ok(stack)
}

/// Waits for the span of the request for a path, and the spans below it.
async fn spans_of(collector: &Collector, path: &str, below: usize) -> Result<(Span, Vec<Span>)> {
    wait::until(&format!("the spans of {path}"), DEADLINE, async || {
        let all = collector.spans(SERVICE);
        let is_of =
            |span: &Span| text(&span.attributes, "http.url").is_some_and(|url| url.ends_with(path));
        let top = all.iter().find(|span| span.kind() == SpanKind::Server && is_of(span));
        let top = top.with_context(|| format!("not among {all:#?}"))?.clone();
        let is_below = |span: &&Span| span.parent_span_id == top.span_id;
        let children: Vec<_> = all.iter().filter(is_below).cloned().collect();
        ensure!(children.len() == below, "{} spans below it", children.len());
        ensure!(
            children
                .iter()
                .all(|span| span.kind() == SpanKind::Client && span.trace_id == top.trace_id)
        );
        Ok((top, children))
    })
    .await
}

#[tokio::test]
async fn a_span_has_the_decision_and_the_server_gets_the_trace() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let captures = fleet.captures().await?;
    let collector = Collector::start().await?;
    let stack = start(fleet.captured_stack_options(&captures)?, &collector).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    // The client is in a trace already, and its exec has a secret in the query.
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let exec = format!("{POLICIES}/x?command=secret");
    client.get(COMMON).await?;
    client.get(POLICIES).await?;
    let parent = format!("00-{trace}-{span}-01");
    client.send_with(Method::GET, &exec, &[("traceparent", &parent)]).await?;

    let received: Vec<_> = captures.iter().flat_map(|capture| capture.requests()).collect();
    for (path, sent, decision) in [
        (COMMON, COMMON, None),
        (POLICIES, POLICIES, Some("reason=skewed, servers=(\"cp-2\")")),
        (&format!("{POLICIES}/x"), &exec, Some("reason=skewed, servers=(\"cp-2\")")),
    ] {
        let (top, below) = spans_of(&collector, path, 1).await?;
        assert_eq!(
            text(&top.attributes, DECISION).filter(|text| !text.is_empty()),
            decision,
            "{path}"
        );
        let attempt = below.first().context("no attempt")?;
        let request = received.iter().find(|request| request.path == sent.as_bytes());
        let parents = request.context("not received")?.headers.iter();
        let parents = parents.filter(|(name, _)| name == b"traceparent").map(|(_, value)| value);
        assert_eq!(parents.collect::<Vec<_>>(), [traceparent(attempt).as_bytes()], "{path}");
        assert_eq!(traceparent(&top).contains(trace), sent == exec, "{path}");
    }
    let spans = collector.spans(SERVICE);
    ensure!(spans.iter().all(|span| !format!("{span:?}").contains("secret")), "{spans:#?}");
    Ok(())
}

#[tokio::test]
async fn each_server_that_is_asked_has_a_span() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let collector = Collector::start().await?;
    let stack = start(fleet.stack_options()?, &collector).await?;
    let client = fleet.client(&stack.url(), Http::Two)?;
    assert_eq!(client.get(UNKNOWN).await?.status, 404);
    let (top, below) = spans_of(&collector, UNKNOWN, 2).await?;
    assert_eq!(text(&top.attributes, DECISION), Some("reason=unknown"));
    let mut asked: Vec<_> =
        below.iter().filter_map(|span| text(&span.attributes, "upstream_address")).collect();
    let addresses = fleet.addresses().into_iter().map(|(_, address)| address.to_string());
    let mut servers: Vec<_> = addresses.collect();
    asked.sort_unstable();
    servers.sort_unstable();
    assert_eq!(asked, servers);
    Ok(())
}

#[test]
fn tracing_is_added_to_every_shipped_configuration_and_changes_nothing_else() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (file, expected) in [
        ("quickstart/envoy.yaml", 3),
        ("load-balancer/envoy.yaml", 3),
        ("control-plane-node/envoy.yaml", 3),
        ("fleet/envoy.yaml", 3),
        ("shared-ingress/envoy.yaml", 1),
        ("shared-ingress/listener.yaml", 2),
    ] {
        let text = fs::read_to_string(integration_folder().join("../envoy-config").join(file))?;
        let copy = folder.path().join("envoy.yaml");
        fs::write(&copy, &text)?;
        add_tracing(&copy)?;
        let traced = fs::read_to_string(&copy)?;
        let parsed = |text: &str| serde_saphyr::from_str::<Value>(text);
        let changed = differences(&parsed(&text)?, &parsed(&traced)?, "");
        assert_eq!(changed.len(), expected, "{file}: {changed:#?}");
        let again = add_tracing(&copy).unwrap_err().to_string();
        ensure!(again.contains("has tracing already"), "{again}");
        assert_eq!(fs::read_to_string(&copy)?, traced);
    }
    Ok(())
}
