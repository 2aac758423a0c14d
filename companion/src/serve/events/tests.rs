//! Streams and lists of changes, with a clock that tests move.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;

use super::*;
use crate::history::{Change, History, KEPT};
use crate::metrics::registry;
use crate::publish::Outcome;

fn failure(number: usize) -> Change {
    Change::PublishFailed { reason: number.to_string() }
}

struct World {
    history: History,
    view: ControlPlaneView,
    streams: Streams,
}

impl World {
    fn new() -> Self {
        let history = History::new(Duration::from_millis(1000));
        let view = ControlPlaneView {
            outcomes: watch::channel(Outcome::default()).1,
            peers: watch::channel(Vec::new()).1,
            source: watch::channel(None).1,
            answering: watch::channel(None).1,
            history: history.follow(),
            registry: registry(None).into(),
        };
        Self { history, view, streams: Streams::default() }
    }

    fn add(&self, numbers: std::ops::Range<usize>) {
        self.history.add(Duration::from_secs(7), numbers.map(failure).collect());
    }

    fn get(&self, headers: &[(&'static str, &'static str)], after: Option<u64>) -> Response {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_static(value))
        });
        answer(&self.view, &self.streams, &headers.collect(), &After { after })
    }

    fn stream(&self, last: Option<&'static str>) -> BodyDataStream {
        let accept = ("accept", "text/html, text/event-stream;q=0.9");
        let last = last.map(|last| ("last-event-id", last));
        let response =
            self.get(&[Some(accept), last].into_iter().flatten().collect::<Vec<_>>(), None);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        response.into_body().into_data_stream()
    }
}

async fn next(stream: &mut BodyDataStream) -> Option<String> {
    Some(String::from_utf8(stream.next().await?.unwrap().to_vec()).unwrap())
}

async fn list(response: Response) -> Vec<serde_json::Value> {
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_what_the_client_misses_and_goes_on() {
    let world = World::new();
    world.add(0..3);
    let mut stream = world.stream(Some("1000"));
    assert_eq!(next(&mut stream).await.unwrap(), "retry: 2000\n\n");
    let second = next(&mut stream).await.unwrap();
    let data = r#"{"id":1001,"atUnixSeconds":7,"message":"cannot publish: 1","kind":"publishFailed","reason":"1"}"#;
    assert_eq!(second, format!("id: 1001\ndata: {data}\n\n"));
    assert!(next(&mut stream).await.unwrap().starts_with("id: 1002\n"));
    assert_eq!(next(&mut stream).await.unwrap(), ":\n\n", "a heartbeat");
    world.add(3..4);
    assert!(next(&mut stream).await.unwrap().starts_with("id: 1003\n"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_misses_what_is_no_longer_kept_and_the_numbers_tell() {
    let world = World::new();
    let mut stream = world.stream(None);
    next(&mut stream).await;
    world.add(0..1);
    assert!(next(&mut stream).await.unwrap().starts_with("id: 1000\n"));
    world.add(1..KEPT * 3);
    let first = 1000 + KEPT * 2;
    assert!(next(&mut stream).await.unwrap().starts_with(&format!("id: {first}\n")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_in_time_and_with_its_control_plane_and_gives_its_place_back() {
    let world = World::new();
    let mut open: Vec<_> = (0..MOST_STREAMS).map(|_| world.stream(None)).collect();
    let refused = world.get(&[("accept", "text/event-stream")], None);
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "10");
    assert_eq!(world.get(&[], None).status(), StatusCode::OK, "the list needs no place");
    let started = Instant::now();
    let mut stream = open.pop().unwrap();
    while next(&mut stream).await.is_some() {}
    assert!(started.elapsed() >= LONGEST && started.elapsed() < LONGEST + HEARTBEAT);
    drop(stream);
    let mut stream = world.stream(None);
    next(&mut stream).await;
    drop(world.history);
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test]
async fn a_client_that_does_not_ask_for_a_stream_gets_a_list() {
    let world = World::new();
    world.add(0..KEPT + 5);
    for accept in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let all = list(world.get(accept, None)).await;
        assert_eq!((all.len(), &all[0]["id"]), (KEPT, &1005.into()));
    }
    let last = list(world.get(&[], Some(1103))).await;
    assert_eq!((last.len(), &last[0]["message"]), (1, &"cannot publish: 104".into()));
    let of_another_run = list(world.get(&[], Some(9_999_999))).await;
    assert_eq!(of_another_run.len(), KEPT);
    let not_a_number = list(world.get(&[("last-event-id", "x")], None)).await;
    assert_eq!(not_a_number.len(), KEPT);
}
