//! How a stream ends, and what is kept of it.

use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
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
    let authority = Authority::new();
    let envoys = Envoys::default();
    let snapshots = Snapshots::new(envoys.clone());
    let cluster = Resource::new(Kind::Clusters, "a".into(), "1".into(), Vec::new());
    let clusters = Resources::from([("a".to_owned(), Arc::new(cluster))]);
    snapshots.publish("a", Part::new([clusters, Resources::new(), Resources::new()], [].into()));
    snapshots.listen([]);
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
    requests.send(DeltaDiscoveryRequest { type_url, ..Default::default() }).unwrap();
    (Envoy { requests, messages, peer, envoys, _others: (snapshots, settings_sender) }, run)
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
