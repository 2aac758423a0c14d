//! How a stream ends, and what is kept of it.

use std::collections::BTreeSet;
use std::io::Write;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::google::protobuf::value::Kind as ValueKind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use http_body::Frame;
use prost::Message as _;
use tonic::Code;
use tonic::body::Body;
use tonic_prost::ProstDecoder;

use super::*;
use crate::ads::client::tests::{Authority, settings};
use crate::ads::envoys::Envoys;
use crate::ads::form::Delta;
use crate::ads::resource::Resource;
use crate::ads::snapshot::{Part, Resources};
use crate::ads::snapshots::Snapshots;
use crate::metrics::Registry;
use crate::secrets::AdsSettings;

/// The requests of an Envoy, as they come.
struct Requests(mpsc::UnboundedReceiver<DeltaDiscoveryRequest>);

impl http_body::Body for Requests {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let request = ready!(self.0.poll_recv(context));
        Poll::Ready(request.map(|request| {
            let mut bytes = BytesMut::new();
            bytes.put_u8(0);
            bytes.put_u32(u32::try_from(request.encoded_len()).unwrap());
            request.encode(&mut bytes).unwrap();
            Ok(Frame::data(bytes.freeze()))
        }))
    }
}

/// An Envoy's end of a stream.
struct Envoy {
    requests: mpsc::UnboundedSender<DeltaDiscoveryRequest>,
    messages: mpsc::Receiver<Result<Message, Status>>,
    peer: Peer,
    envoys: Envoys,
    _others: (Snapshots, watch::Sender<Arc<AdsSettings>>),
}

/// Returns an Envoy that has asked for the clusters, and what serves it.
fn start() -> (Envoy, impl Future<Output = ()>) {
    start_with(&[], &[])
}

/// Returns the same for an Envoy that asks for `names`, where nothing is known of the control planes
/// in `without` yet.
fn start_with(without: &[&str], names: &[&str]) -> (Envoy, impl Future<Output = ()> + use<>) {
    let authority = Authority::new();
    let envoys = Envoys::default();
    let snapshots = Snapshots::new(envoys.clone());
    let cluster = Resource::new(Kind::Clusters, "a".into(), "1".into(), Vec::new());
    let clusters = Resources::from([("a".to_owned(), Arc::new(cluster))]);
    snapshots.publish("a", Part::new([clusters, Resources::new(), Resources::new()], [].into()));
    snapshots.listen([], without.iter().map(|&name| name.to_owned()).collect());
    let (settings_sender, settings) = watch::channel(Arc::new(settings(&[&authority], &["envoy"])));
    let context = Context {
        snapshots: snapshots.clone(),
        access: Access::Names { settings, started: Instant::now() },
        metrics: AdsMetrics::new(&mut Registry::default()),
    };
    let (requests, receiver) = mpsc::unbounded_channel();
    let (sender, messages) = mpsc::channel(8);
    let mut peer = Peer::default();
    peer.client = authority.client("envoy", None);
    let entry = envoys.enter(Vec::new(), Delta::NAME);
    let stream = Stream::<Delta>::new(context, peer.clone(), entry, sender);
    let decoder = ProstDecoder::<DeltaDiscoveryRequest>::default();
    let received = Body::new(Requests(receiver));
    let run = stream.run(Streaming::new_request(decoder, received, None, None));
    let type_url = Kind::Clusters.url().to_owned();
    let node = Some(Node { metadata: metadata(names), ..Node::default() });
    requests.send(DeltaDiscoveryRequest { type_url, node, ..Default::default() }).unwrap();
    (Envoy { requests, messages, peer, envoys, _others: (snapshots, settings_sender) }, run)
}

/// Returns what an Envoy says of the control planes that it asks for.
fn metadata(names: &[&str]) -> Option<Struct> {
    let value = |kind| Value { kind: Some(kind) };
    let mapping = |name: &str, value| Struct { fields: [(name.to_owned(), value)].into() };
    let values = names.iter().map(|name| value(ValueKind::StringValue((*name).to_owned())));
    let list = value(ValueKind::ListValue(ListValue { values: values.collect() }));
    let own = value(ValueKind::StructValue(mapping("controlPlanes", list)));
    (!names.is_empty()).then(|| mapping("mixed-version-proxy", own))
}

#[tokio::test(start_paused = true)]
async fn only_envoys_without_a_starting_control_plane_are_served() {
    let names: [&[&str]; 3] = [&[], &["a", "b"], &["a"]];
    for (names, is_served) in names.into_iter().zip([false, false, true]) {
        let (mut envoy, run) = start_with(&["b"], names);
        // Before that, all are served, for a map may come.
        tokio::time::advance(Duration::from_secs(6)).await;
        let run = tokio::spawn(run);
        let first = envoy.messages.recv().await.unwrap();
        let code = first.map(|message| message.kind).map_err(|status| status.code());
        assert_eq!(code, if is_served { Ok(Kind::Clusters) } else { Err(Code::Unavailable) });
        run.abort();
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn control_planes_that_an_envoy_may_not_have_are_logged_once_until_they_change() {
    let (snapshots, log) = (Snapshots::new(Envoys::default()), Log::default());
    let names = |names: &[&str]| -> BTreeSet<ClusterPrefix> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    };
    let authority = Authority::new();
    let (sender, settings) = watch::channel(Arc::new(settings(&[&authority], &["envoy"])));
    let context = Context {
        snapshots: snapshots.clone(),
        access: Access::Names { settings, started: Instant::now() },
        metrics: AdsMetrics::new(&mut Registry::default()),
    };
    let mut peer = Peer::default();
    peer.client = authority.client("envoy", None);
    let entry = snapshots.envoys().enter(Vec::new(), Delta::NAME);
    let mut stream = Stream::<Delta>::new(context, peer, entry, mpsc::channel(1).0);
    stream.asked = Selection::Some(Arc::new(names(&["a", "b"])));
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let warnings = || String::from_utf8(log.0.lock().unwrap().clone()).unwrap().lines().count();
    tracing::subscriber::with_default(subscriber, || {
        // What is granted, and how many warnings there are then.
        let steps: [(&[&str], usize); 6] = [
            (&["a"], 1),
            (&["a"], 1),
            (&["a", "c"], 1),
            (&["b"], 2),
            (&["a", "b"], 2),
            (&["b"], 3),
        ];
        for (granted, expected) in steps {
            sender.send_modify(|settings| {
                let client = &mut Arc::make_mut(settings).server.allowed_clients[0];
                client.control_planes = Some(names(granted));
            });
            stream.select();
            assert_eq!(warnings(), expected, "{granted:?}");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_hung_up() {
    let (envoy, run) = start();
    let began = Instant::now();
    run.await;
    assert_eq!(began.elapsed(), ANSWER + LAST_WORDS);
    assert!(envoy.peer.is_hung_up());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_is_told_so() {
    let (mut envoy, run) = start();
    let began = Instant::now();
    let run = tokio::spawn(run);
    assert_eq!(envoy.messages.recv().await.unwrap().unwrap().kind, Kind::Clusters);
    let status = envoy.messages.recv().await.unwrap().unwrap_err();
    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, ANSWER));
    // Whoever has read that is not shown any more.
    drop(envoy.messages);
    run.await.unwrap();
    assert_eq!(began.elapsed(), ANSWER);
    assert!(!envoy.peer.is_hung_up());
    assert_eq!(serde_json::to_value(envoy.envoys.view()).unwrap()["envoys"], serde_json::json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nothing_is_wrong_with_ends_at_once() {
    let (mut envoy, run) = start();
    let began = Instant::now();
    let run = tokio::spawn(run);
    assert_eq!(envoy.messages.recv().await.unwrap().unwrap().kind, Kind::Clusters);
    drop(envoy.requests);
    let status = envoy.messages.recv().await.unwrap().unwrap_err();
    assert_eq!((status.code(), began.elapsed()), (Code::Ok, Duration::ZERO));
    drop(envoy.messages);
    run.await.unwrap();
    assert!(!envoy.peer.is_hung_up());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_something_unread_is_hung_up() {
    let (envoy, run) = start();
    let began = Instant::now();
    let run = tokio::spawn(run);
    while envoy.messages.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(envoy.requests);
    run.await.unwrap();
    assert_eq!(began.elapsed(), LAST_WORDS);
    assert!(envoy.peer.is_hung_up());
}

#[tokio::test]
async fn a_client_whose_request_is_too_large_is_told_so() {
    let (mut envoy, run) = start();
    let run = tokio::spawn(run);
    let names = vec!["a".repeat(5 << 20)];
    let request = DeltaDiscoveryRequest { resource_names_subscribe: names, ..Default::default() };
    envoy.requests.send(request).unwrap();
    let status = loop {
        if let Err(status) = envoy.messages.recv().await.unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().starts_with("a request is too large: "), "{status}");
    drop(envoy.messages);
    run.await.unwrap();
}
