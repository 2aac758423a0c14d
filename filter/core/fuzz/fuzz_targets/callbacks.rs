//! Any callbacks in any order, on streams of any bytes and a host whose calls
//! fail, end without a panic, and no client's claim goes on to a server.
#![no_main]

use arbitrary::Arbitrary;
use filter_core::mock::{Call, Fields, MockProxy};
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

const CALLS: [Call; 10] = [
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

fn take(proxy: &MockProxy, step: Step) {
    match step {
        Step::Request { stream, path, mut headers } => {
            headers.insert(0, (b":method".to_vec(), b"GET".to_vec()));
            headers.insert(1, (b":path".to_vec(), path));
            let stream = StreamId(stream.into());
            let action = proxy.request_bytes(stream, headers);
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
            proxy.host.change(|state| state.shared.push(Shared { value, version }));
        }
        Step::AtServer => proxy.filter.judge_attempts(),
        Step::Server { stream, address } => {
            proxy.change(StreamId(stream.into()), |stream| stream.server = address);
        }
        Step::Configure { map } => drop(proxy.configure(&map)),
        Step::Fail { call } => {
            let call = CALLS[usize::from(call) % CALLS.len()];
            proxy.host.change(|state| state.failing.extend([call]));
        }
        Step::Tick => proxy.filter.on_tick(),
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let proxy = MockProxy::golden();
    for step in steps {
        take(&proxy, step);
    }
});
