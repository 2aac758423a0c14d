//! Metadata of nodes that nobody would write: the companion says what is wrong, and serves others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use harness::ads;
use harness::simulated::{Simulated, tls};
use tokio::time::timeout;
use tonic::{Code, Status};

/// The only control plane.
const ONLY: &str = "kube-apiserver";

/// What becomes of a stream.
#[derive(Debug, PartialEq)]
enum End {
    /// It gets a map.
    Served,
    /// It stays, and gets nothing.
    Nothing,
    /// It is refused, with this in the message.
    Refused(&'static str),
    /// It ends: the request is not one of the protocol.
    Ended,
}

fn string(text: &str) -> Value {
    Value { kind: Some(Kind::StringValue(text.to_owned())) }
}

fn number() -> Value {
    Value { kind: Some(Kind::NumberValue(f64::NAN)) }
}

fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

fn mapping(name: &str, value: Value) -> Value {
    let fields = HashMap::from([(name.to_owned(), value)]);
    Value { kind: Some(Kind::StructValue(Struct { fields })) }
}

/// Returns a value within as many others.
fn deep(levels: usize) -> Value {
    (0..levels).fold(number(), |value, _| list(vec![value]))
}

fn corpus() -> Vec<(&'static str, Value, End)> {
    use End::{Ended, Nothing, Refused, Served};
    let names = |names: &[&str]| list(names.iter().map(|name| string(name)).collect());
    let own = |value: Value| mapping("mixed-version-proxy", mapping("controlPlanes", value));
    let megabyte = "a".repeat(1 << 20);
    let thousands: Vec<_> = (0..4_097).map(|_| string(ONLY)).collect();
    let most: Vec<_> = (0..4_095).map(|number| string(&format!("none-{number}"))).collect();
    let most = most.into_iter().chain([string(ONLY)]).collect();
    let not_a_list = Refused("controlPlanes: must be a list");
    let not_a_name = "controlPlanes[0]: must be 1 to 40 characters";
    vec![
        ("its own name", own(names(&[ONLY])), Served),
        ("its own name twice, and another", own(names(&[ONLY, "another", ONLY])), Served),
        ("as many names as there may be", own(list(most)), Served),
        (
            "no field",
            mapping("mixed-version-proxy", mapping("", number())),
            Refused("known fields"),
        ),
        ("another name", own(names(&["another"])), Nothing),
        ("what is somebody else's", mapping("envoy.lb", deep(40)), Served),
        ("1 MB of somebody else's", mapping("other", string(&megabyte)), Served),
        ("an empty list", own(list(Vec::new())), Refused("at least one entry")),
        ("a wildcard", own(names(&["*"])), Refused(not_a_name)),
        ("1 MB in a name", own(names(&[&megabyte])), Refused(not_a_name)),
        ("NUL and quotes", own(names(&["\0\"\r\n"])), Refused(not_a_name)),
        ("a number in the list", own(list(vec![number()])), Refused("[0]: must be a string")),
        ("a text", own(string(ONLY)), not_a_list),
        ("a number", own(number()), Refused("controlPlanes: must be a list")),
        ("nothing", own(Value { kind: None }), Refused("controlPlanes: must be a list")),
        ("a mapping", own(mapping(ONLY, number())), Refused("controlPlanes: must be a list")),
        ("too many names", own(list(thousands)), Refused("at most 4096 entries")),
        ("a list in 40 lists", own(deep(40)), Refused("[0]: must be a string")),
        ("a list in 2,000 lists", own(deep(2_000)), Ended),
        (
            "a text in place of the section",
            mapping("mixed-version-proxy", string(ONLY)),
            Refused("must be a mapping"),
        ),
    ]
}

/// Returns what becomes of a stream with this metadata. One that gets nothing within `patience`
/// gets nothing.
async fn end(
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    metadata: Value,
    patience: Duration,
) -> Result<Result<bool, Status>> {
    let Some(Kind::StructValue(metadata)) = metadata.kind else { anyhow::bail!("not a mapping") };
    let node = Node { id: "hostile".to_owned(), metadata: Some(metadata), ..Node::default() };
    let connected = Simulated::connect_as(port, tls, node).await;
    let mut client = match connected {
        Ok(client) => client,
        Err(error) => return Ok(Err(error.downcast::<Status>()?)),
    };
    match timeout(patience, client.next_map(None)).await {
        Err(_) => Ok(Ok(false)),
        Ok(Ok(_)) => Ok(Ok(true)),
        Ok(Err(error)) => Ok(Err(error.downcast::<Status>().unwrap_or_else(|_| Status::ok("")))),
    }
}

#[tokio::test]
async fn hostile_metadata_is_refused_and_harms_nobody() -> Result<()> {
    let (_fleet, site) = ads::skewed().await?;
    let companion = site.companion("companion-1").await?;
    let tls = tls(site.pki(), &site.envoy_certificate())?;
    for (name, metadata, expected) in corpus() {
        let patience = Duration::from_secs(if expected == End::Nothing { 1 } else { 30 });
        let got = end(companion.port, Arc::clone(&tls), metadata, patience).await;
        let got = got.with_context(|| name.to_owned())?;
        let as_expected = match (&got, &expected) {
            (Ok(served), _) => expected == if *served { End::Served } else { End::Nothing },
            (Err(status), End::Refused(problem)) => {
                status.code() == Code::InvalidArgument
                    && status.message().starts_with("node.metadata.mixed-version-proxy")
                    && status.message().contains(problem)
                    && status.message().len() < 256
            }
            (Err(status), _) => expected == End::Ended && status.code() != Code::InvalidArgument,
        };
        ensure!(as_expected, "{name}: {expected:?}, not {got:?}");
    }
    Simulated::connect(companion.port, tls, "good").await?.next_map(None).await?;
    Ok(())
}
