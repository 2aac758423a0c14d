//! Clients that stop reading, say nothing, say half, or are too many.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;

use super::*;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The test fails after this time.
const DEADLINE: Duration = Duration::from_secs(60);

const LONG: Limits =
    Limits { head: Duration::from_secs(600), unread: Duration::from_secs(600), ..Limits::LOOPBACK };

async fn start(router: Router, limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, limits));
    address
}

/// An endpoint whose answers never end, and hold one of two places until they are dropped.
async fn endless(limits: Limits) -> (SocketAddr, Arc<Semaphore>) {
    let places = Arc::new(Semaphore::new(2));
    let all = Arc::clone(&places);
    let answer = async move || {
        let place = Arc::clone(&all).acquire_owned().await.unwrap();
        let chunks = stream::repeat(Bytes::from_static(&[b'x'; 4096]));
        Body::from_stream(chunks.map(move |chunk| {
            let _held = &place;
            Ok::<_, io::Error>(chunk)
        }))
    };
    (start(Router::new().route("/", get(answer)), limits).await, places)
}

fn short() -> Router {
    Router::new().route("/", get(|| async { "ok\n" }))
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Connects from another address of this host.
async fn connect_from(own: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{own}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Sends a request.
///
/// # Errors
/// The connection is closed before it is answered.
async fn ask(client: &mut TcpStream) -> io::Result<()> {
    client.write_all(REQUEST).await?;
    let mut head = [0; 12];
    client.read_exact(&mut head).await?;
    assert_eq!(&head, b"HTTP/1.1 200");
    Ok(())
}

/// Returns all that the server sends until it closes the connection.
async fn rest(mut client: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        // A reset ends it too.
        while let Ok(read @ 1..) = client.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..read]);
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("the connection stays open");
    all
}

#[tokio::test]
async fn a_client_that_stops_reading_loses_its_place_and_one_that_reads_keeps_it() {
    // Longer than this test is ever kept from reading.
    let unread = Duration::from_secs(4);
    let (address, places) = endless(Limits { unread, ..LONG }).await;
    let (mut stuck, mut reading) = (connect(address).await, connect(address).await);
    ask(&mut stuck).await.unwrap();
    ask(&mut reading).await.unwrap();
    assert_eq!(places.available_permits(), 0);
    let mut buffer = vec![0; 1 << 16];
    let read = async {
        while places.available_permits() == 0 {
            assert_ne!(reading.read(&mut buffer).await.unwrap(), 0, "the other one was closed");
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    assert_eq!(places.available_permits(), 1);
    assert_ne!(reading.read(&mut buffer).await.unwrap(), 0);
}

#[tokio::test]
async fn http_2_is_not_served() {
    let address = start(short(), LONG).await;
    let mut client = connect(address).await;
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    client.write_all(&settings).await.unwrap();
    let answer = rest(client).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    // An upgrade to it is ignored.
    let mut client = connect(address).await;
    let upgrade = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    client.write_all(upgrade.as_bytes()).await.unwrap();
    assert!(rest(client).await.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn connections_without_a_complete_request_are_closed() {
    // Longer than this test is ever kept from sending.
    let address = start(short(), Limits { head: Duration::from_secs(5), ..LONG }).await;
    let silent = connect(address).await;
    let mut half = connect(address).await;
    half.write_all(&REQUEST[..20]).await.unwrap();
    // Two requests on one connection are answered before.
    let mut answered = connect(address).await;
    ask(&mut answered).await.unwrap();
    answered.write_all(REQUEST).await.unwrap();
    for (client, answers) in [(silent, 0), (half, 0), (answered, 1)] {
        let sent = rest(client).await;
        let text = String::from_utf8(sent).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200").count(), answers, "{text}");
    }
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    let head = Duration::from_secs(1);
    let (address, _places) = endless(Limits { head, ..LONG }).await;
    // On a slow machine, the request may come after the time for a head.
    let asked = async {
        loop {
            let mut client = connect(address).await;
            if ask(&mut client).await.is_ok() {
                break client;
            }
        }
    };
    let mut client = tokio::time::timeout(DEADLINE, asked).await.unwrap();
    let mut buffer = vec![0; 1 << 16];
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < 2 * head {
        assert_ne!(client.read(&mut buffer).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_refused() {
    let address = start(short(), LONG).await;
    let mut client = connect(address).await;
    client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    // The server may close the connection before it is all sent.
    let _ = client.write_all(&vec![b'x'; 2 * BUFFER]).await;
    let answer = rest(client).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
}

#[tokio::test]
async fn clients_that_take_up_all_connections_keep_nobody_out_for_long() {
    let head = Duration::from_secs(1);
    let connections = Most { all: 8, of_one: 4 };
    let address = start(short(), Limits { connections, head, ..LONG }).await;
    let from = async |own: &str| {
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(connect_from(own, address).await);
        }
        clients
    };
    let idle = (from("127.0.0.2").await, from("127.0.0.3").await);
    let answered = async {
        while ask(&mut connect(address).await).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, answered).await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn an_address_that_has_too_many_connections_gets_no_more_and_others_do() {
    let connections = Most { all: 8, of_one: 4 };
    let address = start(short(), Limits { connections, ..LONG }).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut client = connect_from("127.0.0.2", address).await;
        ask(&mut client).await.unwrap();
        held.push(client);
    }
    assert!(rest(connect_from("127.0.0.2", address).await).await.is_empty());
    ask(&mut connect_from("127.0.0.3", address).await).await.unwrap();
    // A place is free again as soon as its connection is closed.
    held.pop();
    let answered = async {
        while ask(&mut connect_from("127.0.0.2", address).await).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, answered).await.unwrap();
}
