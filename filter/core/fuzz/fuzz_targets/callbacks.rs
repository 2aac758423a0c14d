//! Any callbacks in any order, on streams of any bytes and a host whose calls
//! fail, end without a panic, and no client's claim goes on to a server. Two control
//! planes share the VM: no request goes to a cluster of the other one.
#![no_main]

use arbitrary::Arbitrary;
use filter_core::mock::{Call, Fields, GOLDEN, MockProxy};
use filter_core::{Action, Certificate, Shared, StreamId};
use libfuzzer_sys::fuzz_target;
use routing::interest;

#[derive(Arbitrary, Debug)]
enum Step {
    Request { stream: u8, path: Vec<u8>, headers: Fields },
    Certificate { stream: u8, subject: Vec<u8>, sha256: Vec<u8> },
    Trailers { stream: u8, trailers: Fields },
    Response { stream: u8, headers: Fields, end: bool },
    NotFound { stream: u8, content_type: u8, end: bool },
    /// A server's discovery document, in answer to an access check.
    Document { stream: u8, etag: Option<String>, end: bool },
    ResponseTrailers { stream: u8 },
    Body { stream: u8, body: Vec<u8>, end: bool },
    /// What the host keeps is the filter's own, but it must not matter.
    State { stream: u8, key: bool, value: Vec<u8> },
    /// What another VM told.
    Shared { value: Vec<u8>, version: u32 },
    /// The host drops the configurations before the last, or all.
    Drop { all: bool },
    /// From here on, attempts at servers are judged.
    AtServer,
    Server { stream: u8, address: String },
    Configure { map: String },
    Fail { call: u8 },
    Tick,
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

const CONTENT_TYPES: [&str; 4] =
    ["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

const CALLS: [Call; 13] = [
    Call::RootId,
    Call::IsGone,
    Call::StopTicks,
    Call::Headers,
    Call::ReplaceHeaders,
    Call::SetClusterHeader,
    Call::SetFilterState,
    Call::FilterState,
    Call::ResponseHeader,
    Call::ResponseBody,
    Call::Cluster,
    Call::AskAgain,
    Call::Shared,
];

fn has_claim(fields: &Fields) -> bool {
    fields.iter().any(|(name, _)| {
        let name = name.to_ascii_lowercase();
        [&b"x-remote-user"[..], b"x-remote-group", b"x-forwarded-client-cert"]
            .iter()
            .any(|claim| name == *claim)
    })
}

/// A step of one of the two control planes.
#[derive(Arbitrary, Debug)]
struct Turn {
    is_second: bool,
    step: Step,
}

/// What all clusters of the golden map are named after, and those of the second control plane.
const CLUSTERS: [&str; 2] = ["kube-apiserver", "other"];

/// Whether a request goes to a cluster of the control plane that is not its own.
fn is_misled(proxy: &MockProxy, stream: StreamId, own: &str) -> bool {
    let cluster = proxy.stream(stream).sent(discovery_map::CLUSTER_HEADER).unwrap_or_default();
    CLUSTERS.iter().any(|name| *name != own && cluster.starts_with(name))
}

fn take(proxy: &MockProxy, step: Step, own: &str) {
    match step {
        Step::Request { stream, path, mut headers } => {
            headers.insert(0, (b":method".to_vec(), b"GET".to_vec()));
            headers.insert(1, (b":path".to_vec(), path));
            headers.retain(|(name, _)| name != discovery_map::CLUSTER_HEADER.as_bytes());
            let stream = StreamId(stream.into());
            let action = proxy.request_bytes(stream, headers);
            assert!(!is_misled(proxy, stream, own));
            let stream = proxy.stream(stream);
            let sent = action == Action::Continue && stream.certificate.is_none();
            assert!(!sent || !has_claim(&stream.request), "{:?}", stream.request);
        }
        Step::Certificate { stream, subject, sha256 } => {
            let certificate = Some(Certificate { subject, sha256 });
            proxy.change(StreamId(stream.into()), |stream| stream.certificate = certificate);
        }
        Step::Trailers { stream, trailers } => {
            let stream = StreamId(stream.into());
            let action = proxy.trailers_bytes(stream, trailers);
            let stream = proxy.stream(stream);
            assert!(action == Action::Pause || !has_claim(&stream.trailers));
        }
        Step::Response { stream, headers, end } => {
            proxy.response_bytes(StreamId(stream.into()), headers, end);
        }
        Step::NotFound { stream, content_type, end } => {
            let content_type = CONTENT_TYPES[usize::from(content_type) % CONTENT_TYPES.len()];
            let headers = [(":status", "404"), ("content-type", content_type)];
            proxy.response(StreamId(stream.into()), &headers, end);
        }
        Step::Document { stream, etag, end } => {
            let stream = StreamId(stream.into());
            proxy.request(stream, &[(":method", "GET"), (":path", "/apis"), ("accept", AGGREGATED)]);
            let etag = etag.as_deref().map(|etag| ("etag", etag));
            let status = [(":status", "200")];
            proxy.response(stream, &status.into_iter().chain(etag).collect::<Vec<_>>(), end);
        }
        Step::ResponseTrailers { stream } => {
            proxy.trailers_of_response(StreamId(stream.into()));
        }
        Step::Body { stream, body, end } => {
            proxy.body(StreamId(stream.into()), &body, end);
        }
        Step::State { stream, key, value } => {
            let key = if key { interest::STATE } else { interest::DENIED };
            proxy.change(StreamId(stream.into()), |stream| {
                stream.filter_state.insert(key.to_owned(), value);
            });
        }
        Step::Shared { value, version } => {
            proxy.hear(Shared { value, version });
        }
        Step::Drop { all: true } => proxy.remove(),
        Step::Drop { all: false } => proxy.drop_older(),
        Step::AtServer => proxy.judge_attempts(),
        Step::Server { stream, address } => {
            proxy.change(StreamId(stream.into()), |stream| stream.server = address);
        }
        Step::Configure { map } => drop(proxy.configure(&map)),
        Step::Fail { call } => {
            let call = CALLS[usize::from(call) % CALLS.len()];
            proxy.host.change(|state| state.failing.extend([call]));
        }
        Step::Tick => proxy.tick(),
    }
}

fuzz_target!(|turns: Vec<Turn>| {
    let first = MockProxy::golden();
    let second = first.beside("second");
    let map = GOLDEN.replace("\"kube-apiserver", "\"other");
    assert_eq!(second.configure(&map), Ok(()));
    for Turn { is_second, step } in turns {
        take(if is_second { &second } else { &first }, step, CLUSTERS[usize::from(is_second)]);
    }
});
