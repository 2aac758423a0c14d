//! An API that answers as a test says: what real ones do only when they are broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::config::{Access, SlicePort};

const BOUNDS: Bounds = Bounds {
    list: Duration::from_secs(60),
    watch: 1,
    pause: [Duration::from_millis(50), Duration::from_millis(400)],
};

/// For lists that do not come: those that come may take longer on a busy machine.
const IMPATIENT: Bounds = Bounds { list: Duration::from_millis(300), ..BOUNDS };

/// What a watch gets.
#[derive(Clone, Copy)]
enum Watch {
    /// That its resource version is too old.
    Gone,
    /// Nothing at all, and no end.
    Silence,
    /// A bookmark of version 7, and its end.
    Bookmark,
}

#[derive(Clone)]
struct Api {
    lists: Arc<AtomicUsize>,
    /// The queries of the watches.
    watches: mpsc::UnboundedSender<String>,
    answer: Watch,
    /// How many lists are answered.
    answered: usize,
}

fn slice() -> Value {
    json!({
        "metadata": { "name": "a", "resourceVersion": "5" },
        "addressType": "IPv4",
        "ports": [{ "port": 6443 }],
        "endpoints": [{ "addresses": ["10.0.0.1"] }],
    })
}

async fn answer(State(api): State<Api>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    if !query.contains("watch=true") {
        if api.lists.fetch_add(1, Ordering::Relaxed) >= api.answered {
            std::future::pending::<()>().await;
        }
        let list = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList",
            "metadata": { "resourceVersion": "6" }, "items": [slice()],
        });
        return axum::Json(list).into_response();
    }
    // Not every test looks at them.
    let _ = api.watches.send(query);
    let event = match api.answer {
        Watch::Gone => json!({ "type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old", "reason": "Expired", "code": 410,
        } }),
        Watch::Bookmark => json!({ "type": "BOOKMARK", "object": {
            "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
            "metadata": { "resourceVersion": "7", "creationTimestamp": null },
            "addressType": "", "endpoints": null, "ports": null,
        } }),
        Watch::Silence => {
            return Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>())
                .into_response();
        }
    };
    format!("{event}\n").into_response()
}

struct World {
    client: Client,
    lists: Arc<AtomicUsize>,
    watches: mpsc::UnboundedReceiver<String>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
}

async fn world(answer_watches: Watch, answered: usize) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (watches, received) = mpsc::unbounded_channel();
    let lists = Arc::new(AtomicUsize::new(0));
    let api = Api { lists: Arc::clone(&lists), watches, answer: answer_watches, answered };
    let router = Router::new().fallback(answer).with_state(api);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut connection = kube::Config::new(url.parse().unwrap());
    // Short only in the test that waits until it expires.
    let is_silent = matches!(answer_watches, Watch::Silence);
    connection.read_timeout = Some(Duration::from_secs(if is_silent { 4 } else { 60 }));
    connection.default_retry = false;
    let client = Client::try_from(connection).unwrap();
    World { client, lists, watches: received, news: mpsc::channel(100) }
}

fn source() -> SlicesSource {
    SlicesSource {
        namespace: "n".parse().unwrap(),
        service: "s".parse().unwrap(),
        port: SlicePort::Only,
        access: Access::InCluster,
    }
}

#[tokio::test]
async fn a_watch_that_is_too_old_again_and_again_is_listed_again_after_growing_pauses() {
    let World { client, lists, mut news, .. } = world(Watch::Gone, usize::MAX).await;
    let begun = Instant::now();
    let source = source();
    tokio::select! {
        ended = follow(client, &source, BOUNDS, &news.0) => panic!("{ended:?}"),
        () = async {
            for _ in 0..5 {
                assert_eq!(news.1.recv().await.unwrap().unwrap().len(), 1);
            }
        } => {}
    }
    // At least 0.8 of 50, 100, 200 and 400 ms are between the five lists.
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert!(lists.load(Ordering::Relaxed) <= 6);
}

#[tokio::test]
async fn a_watch_is_resumed_at_the_last_bookmark_without_a_list() {
    let World { client, lists, mut watches, news } = world(Watch::Bookmark, usize::MAX).await;
    let source = source();
    tokio::select! {
        ended = follow(client, &source, BOUNDS, &news.0) => panic!("{ended:?}"),
        () = async {
            let first = watches.recv().await.unwrap();
            let wanted = ["resourceVersion=6", "allowWatchBookmarks=true", "timeoutSeconds=1"];
            assert!(wanted.iter().all(|part| first.contains(part)), "{first}");
            let second = watches.recv().await.unwrap();
            assert!(second.contains("resourceVersion=7"), "{second}");
        } => {}
    }
    assert_eq!(lists.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_list_that_does_not_come_and_a_watch_that_never_ends_are_errors() {
    let World { client, news, .. } = world(Watch::Gone, 0).await;
    let problem = follow(client, &source(), IMPATIENT, &news.0).await.unwrap();
    assert_eq!(problem, "no list within 0.3 s");
    // The second list, after a watch that was too old.
    let World { client, news, .. } = world(Watch::Gone, 1).await;
    let problem = follow(client, &source(), IMPATIENT, &news.0).await.unwrap();
    assert_eq!(problem, "no list within 0.3 s");
    let World { client, mut news, .. } = world(Watch::Silence, usize::MAX).await;
    let problem = follow(client, &source(), BOUNDS, &news.0).await.unwrap();
    assert!(problem.contains("timed out"), "{problem}");
    assert_eq!(news.1.recv().await.unwrap().unwrap().len(), 1);
}
