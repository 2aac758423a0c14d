//! Any order of callbacks, on streams of any bytes, as a host may make it: what
//! must hold whatever comes.

use std::collections::BTreeMap;

use filter_core::Action;
use filter_core::mock::{Call, Fields, GOLDEN, MockProxy};
use proptest::prelude::*;

use crate::setup::*;

/// One callback on one of four streams.
#[derive(Clone, Debug)]
enum Step {
    Request(StreamId, Fields),
    Trailers(StreamId, Fields),
    Response(StreamId, Fields, bool),
    Body(StreamId, Vec<u8>, bool),
    Push(bool),
    Tick,
}

fn stream() -> impl Strategy<Value = StreamId> {
    (0..4_u32).prop_map(StreamId)
}

/// Names and values that mean something, and any other bytes.
fn field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let names = prop::sample::select(vec![
        "accept",
        "accept-encoding",
        "if-none-match",
        "connection",
        "x-remote-user",
        "X_Remote_Group",
        "x-remote-extra-a",
        "x-forwarded-client-cert",
        "x-mixed-version-proxy-cluster",
        "content-type",
        "content-length",
    ]);
    let values = prop::sample::select(vec![
        AGGREGATED,
        PROTOBUF,
        "gzip",
        "upgrade",
        "admin",
        "text/plain",
        "19",
        "5000",
    ]);
    let known = (names, values).prop_map(|(n, v)| (Vec::from(n), Vec::from(v)));
    prop_oneof![3 => known, 1 => any::<(Vec<u8>, Vec<u8>)>()]
}

fn fields(
    first: &'static [&'static str],
    values: Vec<&'static str>,
) -> impl Strategy<Value = Fields> {
    let values = prop::collection::vec(prop::sample::select(values), first.len());
    (values, prop::collection::vec(field(), 0..5)).prop_map(move |(values, rest)| {
        let first = first.iter().zip(values).map(|(n, v)| (Vec::from(*n), Vec::from(v)));
        first.chain(rest).collect()
    })
}

fn request() -> impl Strategy<Value = Fields> {
    let paths = vec![COMMON, SKEWED, UNKNOWN, UNAVAILABLE, "/apis", "/healthz", "GET", ""];
    prop_oneof![
        8 => fields(&[":path"], paths).prop_map(|mut fields| {
            fields.insert(0, (b":method".to_vec(), b"GET".to_vec()));
            fields
        }),
        1 => prop::collection::vec(field(), 0..4),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(TYPE_LEVEL.to_vec()),
        Just(b"404 ".to_vec()),
        prop::collection::vec(any::<u8>(), 0..1500),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (stream(), request()).prop_map(|(id, fields)| Step::Request(id, fields)),
        1 => (stream(), prop::collection::vec(field(), 0..4))
            .prop_map(|(id, fields)| Step::Trailers(id, fields)),
        4 => (stream(), fields(&[":status"], vec!["200", "304", "404", "404", "503"]), any::<bool>())
            .prop_map(|(id, fields, end)| Step::Response(id, fields, end)),
        4 => (stream(), body(), any::<bool>()).prop_map(|(id, body, end)| Step::Body(id, body, end)),
        1 => any::<bool>().prop_map(Step::Push),
        1 => Just(Step::Tick),
    ]
}

fn take(proxy: &MockProxy, step: &Step) -> Option<Action> {
    match step.clone() {
        Step::Request(id, fields) => return Some(proxy.request_bytes(id, fields)),
        Step::Trailers(id, fields) => return Some(proxy.trailers_bytes(id, fields)),
        Step::Response(id, fields, end) => return Some(proxy.response_bytes(id, fields, end)),
        Step::Body(id, body, end) => return Some(proxy.body(id, &body, end)),
        Step::Push(with_documents) => {
            let map = changed(|map| {
                if !with_documents {
                    map["documents"] = serde_json::json!([]);
                }
            });
            proxy.configure(&map).unwrap();
        }
        Step::Tick => proxy.tick(),
    }
    None
}

/// Whether a client's claim is among these fields. The golden map has a front
/// proxy, but no stream here has a certificate.
fn has_claim(fields: &Fields) -> bool {
    fields.iter().any(|(name, _)| {
        let name = String::from_utf8_lossy(name).to_lowercase().replace('_', "-");
        name.starts_with("x-remote-") || name == "x-forwarded-client-cert"
    })
}

/// A stream as a real host drives it: in order, and not after its end.
#[derive(Default)]
struct Life {
    is_sent: bool,
    is_held: bool,
    is_over: bool,
    status: Vec<u8>,
}

impl Life {
    /// Whether the host would make this call now.
    fn allows(&self, step: &Step) -> bool {
        match step {
            Step::Request(..) => !self.is_sent && !self.is_over,
            Step::Trailers(..) | Step::Response(..) => {
                self.is_sent && !self.is_over && self.status.is_empty()
            }
            Step::Body(..) => !self.status.is_empty() && !self.is_over,
            _ => true,
        }
    }
}

fn id(step: &Step) -> Option<StreamId> {
    match step {
        Step::Request(id, _)
        | Step::Trailers(id, _)
        | Step::Response(id, ..)
        | Step::Body(id, ..) => Some(*id),
        Step::Push(_) | Step::Tick => None,
    }
}

/// The same step on the streams of another control plane.
fn of_another(step: Step) -> Step {
    let other = |id: StreamId| StreamId(id.0 + 100);
    match step {
        Step::Request(id, fields) => Step::Request(other(id), fields),
        Step::Trailers(id, fields) => Step::Trailers(other(id), fields),
        Step::Response(id, fields, end) => Step::Response(other(id), fields, end),
        Step::Body(id, body, end) => Step::Body(other(id), body, end),
        Step::Push(_) | Step::Tick => step,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_another_control_plane_does_changes_nothing(
        turns in prop::collection::vec((step(), any::<bool>()), 1..80),
        is_removed in any::<bool>(),
        name in prop::sample::select(vec!["a", "z"]),
    ) {
        let [alone, shared] = [(); 2].map(|()| MockProxy::default().beside("m"));
        [&alone, &shared].into_iter().for_each(|proxy| proxy.configure(GOLDEN).unwrap());
        let other = shared.beside(name);
        for (step, is_others) in turns {
            if is_others {
                take(&other, &of_another(step));
            } else {
                prop_assert_eq!(take(&alone, &step), take(&shared, &step));
            }
        }
        if is_removed {
            other.remove();
            shared.tick();
        }
        for id in (0..4).map(StreamId) {
            let streams = [alone.stream(id), shared.stream(id)].map(|stream| format!("{stream:?}"));
            prop_assert_eq!(&streams[0], &streams[1]);
        }
        prop_assert_eq!(alone.shared(), shared.shared());
    }

    #[test]
    fn no_order_of_callbacks_panics_or_lets_a_claim_through(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let proxy = MockProxy::golden();
        for step in &steps {
            let action = take(&proxy, step);
            let passed = action == Some(Action::Continue);
            match step {
                Step::Request(id, _) if passed => {
                    let stream = proxy.stream(*id);
                    prop_assert!(!has_claim(&stream.request), "{:?}", stream.request);
                }
                Step::Trailers(id, _) if passed => {
                    prop_assert!(!has_claim(&proxy.stream(*id).trailers));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn no_host_call_that_fails_lets_a_claim_through(
        steps in prop::collection::vec(step(), 1..30),
        failing in prop::sample::subsequence(vec![
            Call::Headers, Call::ReplaceHeaders, Call::SetClusterHeader, Call::SetFilterState,
            Call::FilterState, Call::ResponseHeader, Call::ResponseBody, Call::IsFromServer,
        ], 0..5),
    ) {
        let proxy = failing.into_iter().fold(MockProxy::golden(), MockProxy::failing);
        for step in &steps {
            let action = take(&proxy, step);
            if let (Step::Request(id, _), Some(Action::Continue)) = (step, action) {
                prop_assert!(!has_claim(&proxy.stream(*id).request));
            }
        }
    }

    #[test]
    fn in_the_order_of_a_host_a_stream_is_answered_once_and_no_404_is_lost(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let proxy = MockProxy::golden();
        let mut lives: BTreeMap<StreamId, Life> = BTreeMap::new();
        for step in &steps {
            let Some(id) = id(step) else {
                take(&proxy, step);
                continue;
            };
            let life = lives.entry(id).or_default();
            if !life.allows(step) {
                continue;
            }
            let action = take(&proxy, step);
            let stream = proxy.stream(id);
            match step {
                Step::Request(..) => life.is_sent = true,
                Step::Response(_, fields, _) => life.status = fields[0].1.clone(),
                _ => {}
            }
            life.is_held = action == Some(Action::Pause);
            // A stream that is answered, or whose response goes on, is not entered again.
            let ends = matches!(step, Step::Body(_, _, true) | Step::Response(_, _, true));
            life.is_over = !stream.replies.is_empty() || (ends && !life.is_held);
            prop_assert!(stream.replies.len() <= 1);
        }
        for (id, life) in &lives {
            let stream = proxy.stream(*id);
            prop_assert!(stream.replies.len() <= 1);
            if life.is_held && !life.is_over && !life.status.is_empty() {
                // What is still held waits for more of its body, and gets it.
                proxy.body(*id, b"", true);
                prop_assert_eq!(proxy.body(*id, b"", true), Action::Continue);
            }
        }
    }
}
