//! A type that some server serves is never denied. Custom resources are defined
//! one after the other through Envoy, and many clients list, create and read each
//! at once, while its definition spreads from server to server.
//!
//! The first success of direct requests to a server proves that it serves a type.
//! A type-level 404 or a 503 to a request that began after the first such proof is wrong.
//! (Before it, no server is known to serve the type, though the definition
//! exists. A 429 of a server whose store for the type initializes is Kubernetes' own.)

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::control_plane::ServerOptions;
use harness::manifests::{DEFINITIONS, custom_object, definition};
use harness::report::Entry;
use harness::site::Site;
use harness::skew::{NEWER, OLDER};
use tokio::task::JoinSet;
use wire::client::{Client, Http};

/// Each takes some seconds, because clients wait for `Retry-After`.
const TYPES: usize = if cfg!(feature = "slow") { 100 } else { 8 };
const CLIENTS: usize = 20;
const GROUP: &str = "new.example";

/// How long one type may take to be used by every client.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a server says that has the type, and not yet its objects.
const INITIALIZING: &str = "storage is (re)initializing";

/// Between two questions to a server, or after a 404.
const PAUSE: Duration = Duration::from_millis(5);

#[tokio::test]
async fn a_type_that_any_server_serves_is_never_denied() -> Result<()> {
    let mut entry = Entry::begin("cluster_new_types");
    let servers = [("a", OLDER), ("b", NEWER), ("c", NEWER)];
    let servers = servers.map(|(name, version)| ServerOptions::new(name, version));
    let site = Site::start(servers.to_vec()).await?;
    let admin = site.client(Http::Two)?;
    let clients = (0..CLIENTS).map(|number| match number % 2 {
        0 => site.client(Http::Two),
        _ => site.client(Http::One),
    });
    let clients: Vec<_> = clients.collect::<Result<_>>()?;
    let direct = (0..3).map(|server| site.direct(server, Http::Two)).collect::<Result<Vec<_>>>()?;

    let mut all = Seen::default();
    for number in 0..TYPES {
        let plural = format!("things{number}");
        let seen = define_and_use(&admin, &clients, &direct, &plural)
            .await
            .with_context(|| plural.clone())?;
        all.add(&seen);
    }
    entry.set("types", TYPES);
    entry.set("clients", CLIENTS);
    entry.set("requests", all.requests);
    entry.set("deniedBeforeServed", all.denied_before);
    entry.set("deniedWhileServed", all.denied_while_served.len());
    entry.set("unavailableBeforeServed", all.unavailable_before);
    entry.set("unavailableWhileServed", all.unavailable_while_served.len());
    entry.set("initializing", all.initializing);
    entry.set_ms("longestDeniedAfterServedMs", all.longest());
    ensure!(
        all.denied_while_served.is_empty(),
        "{} of {} requests were denied a type that was served, up to {:?} after",
        all.denied_while_served.len(),
        all.requests,
        all.longest(),
    );
    ensure!(
        all.unavailable_while_served.is_empty(),
        "of {} requests, these got 503 though a server could answer: {:#?}",
        all.requests,
        all.unavailable_while_served,
    );
    entry.passed()
}

/// Answers to clients, by type.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    denied_before: usize,
    /// How long the type had been served when each began.
    denied_while_served: Vec<Duration>,
    /// The filter's 503s, which have a time to try again.
    unavailable_before: usize,
    /// The same, with how long the type had been served when each began.
    unavailable_while_served: Vec<(Duration, String)>,
    /// A server's own 429s while its store for the type initializes, which have a time to try again
    /// too. The store of another server may be ready by then.
    initializing: usize,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.denied_before += other.denied_before;
        self.denied_while_served.extend(&other.denied_while_served);
        self.unavailable_before += other.unavailable_before;
        self.unavailable_while_served.extend_from_slice(&other.unavailable_while_served);
        self.initializing += other.initializing;
    }

    fn longest(&self) -> Duration {
        self.denied_while_served.iter().copied().max().unwrap_or_default()
    }
}

/// The moment of the first proof.
#[derive(Debug, Clone, Default)]
struct Served(Arc<Mutex<Option<Instant>>>);

impl Served {
    fn proved(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn define_and_use(
    admin: &Client,
    clients: &[Client],
    direct: &[Client],
    plural: &str,
) -> Result<Seen> {
    let collection = format!("/apis/{GROUP}/v1/namespaces/default/{plural}");
    let served = Served::default();
    let mut probes = JoinSet::new();
    for client in direct {
        probes.spawn(prove(client.clone(), collection.clone(), served.clone()));
    }
    admin.post(DEFINITIONS, &definition(plural, GROUP)).await?.ok()?;
    let mut users = JoinSet::new();
    for (number, client) in clients.iter().enumerate() {
        let user = User {
            client: client.clone(),
            served: served.clone(),
            collection: collection.clone(),
            object: custom_object(plural, GROUP, &format!("of-{number}")),
            path: format!("{collection}/of-{number}"),
            seen: Seen::default(),
        };
        users.spawn(user.run());
    }
    let mut seen = Seen::default();
    let everyone = async {
        while let Some(user) = users.join_next().await {
            seen.add(&user??);
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, everyone).await.context("not usable in time")??;
    Ok(seen)
}

/// Asks one server until it serves the collection.
async fn prove(client: Client, collection: String, served: Served) {
    loop {
        if client.get(&collection).await.is_ok_and(|answer| answer.status.is_success()) {
            served.proved();
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One client at work.
struct User {
    client: Client,
    served: Served,
    collection: String,
    object: serde_json::Value,
    path: String,
    seen: Seen,
}

impl User {
    async fn run(mut self) -> Result<Seen> {
        let (collection, path) = (self.collection.clone(), self.path.clone());
        self.until_ok(&collection, false).await?;
        self.until_ok(&collection, true).await?;
        self.until_ok(&path, false).await?;
        Ok(self.seen)
    }

    /// Repeats denied requests after a pause, and unavailable ones after `Retry-After`.
    async fn until_ok(&mut self, path: &str, create: bool) -> Result<()> {
        loop {
            let began = Instant::now();
            let answer = if create {
                self.client.post(path, &self.object).await?
            } else {
                self.client.get(path).await?
            };
            self.seen.requests += 1;
            // What was proved meanwhile counts from its proof.
            let served = self.served.since().filter(|since| *since < began);
            if answer.is_type_level_404() {
                match served {
                    Some(since) => self.seen.denied_while_served.push(began - since),
                    None => self.seen.denied_before += 1,
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let Some(seconds) = answer.header("retry-after") else {
                answer.ok()?;
                return Ok(());
            };
            let seconds = seconds.parse()?;
            let text = format!("{} {}", answer.status, answer.text());
            match served {
                _ if answer.status == 429 && text.contains(INITIALIZING) => {
                    self.seen.initializing += 1;
                }
                Some(since) => self.seen.unavailable_while_served.push((began - since, text)),
                None => self.seen.unavailable_before += 1,
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }
}
