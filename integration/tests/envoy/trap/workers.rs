//! Connections whose workers are known, and traps in each worker's VM.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::stack::Stack;
use harness::wait;
use tokio::task::JoinSet;
use wire::capture::{ANSWER, CapturedRequest};
use wire::frames::Field;
use wire::raw::{Answer, Raw, Request, Two};

use crate::identity::corpus::{TOKEN, Who};
use crate::identity::run::Clients;

/// The number of workers.
pub const WORKERS: usize = 4;

/// The minimum of streams on each worker.
const STREAMS: usize = 3;

/// The kernel spreads connections over workers at random; this many reach all.
const MANY: usize = 400;

const DEADLINE: Duration = Duration::from_secs(60);

/// The path that ends a VM.
const TRAP: &str = "/trap";

/// The path of streams.
const STREAM: &str = "/api/v1/namespaces/n/configmaps?watch=true";

/// The path of requests that end later.
const BEGUN: &str = "/api/v1/namespaces/n/configmaps/begun";

/// The path of requests that check whether a worker serves.
const PROBE: &str = "/api/v1/pods";

/// The paths that may arrive.
pub const PATHS: [&str; 3] = [STREAM, BEGUN, PROBE];

/// The header that names the client of a request.
const WHO: &str = "x-who";

/// Returns the client that sent this request.
pub fn sender(record: &CapturedRequest) -> Option<Who> {
    let value = record.value(WHO)?;
    Who::ALL.into_iter().find(|who| name(*who).as_bytes() == value)
}

fn name(who: Who) -> String {
    format!("{who:?}")
}

/// A stream that brings something all the time.
#[derive(Debug, Default)]
pub struct Stream {
    ticks: AtomicU64,
    ended: AtomicBool,
}

impl Stream {
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// The open connections on one worker.
#[derive(Default)]
pub struct Worker {
    pub streams: Vec<Arc<Stream>>,
    /// A connection of each client for requests with claims.
    spare: BTreeMap<Who, Two>,
    /// Requests whose trailers are yet to come.
    begun: Vec<(Two, u32)>,
}

/// Envoy, and connections whose workers are known.
pub struct Workers {
    pub stack: Stack,
    clients: Clients,
    pub workers: BTreeMap<usize, Worker>,
    reading: JoinSet<()>,
}

impl Workers {
    /// Opens streams and spare connections until all workers have enough.
    pub async fn open(stack: Stack, clients: Clients) -> Result<Self> {
        let (workers, reading) = (BTreeMap::new(), JoinSet::new());
        let mut this = Self { stack, clients, workers, reading };
        for who in Who::ALL.into_iter().cycle().take(MANY) {
            if this.is_enough() {
                return Ok(this);
            }
            let before = this.connections().await?;
            let stream = this.stream(who).await?;
            let after = this.connections().await?;
            this.worker_of(&before, &after)?.streams.push(stream);

            let spare = this.client(who)?.two().await?;
            let before = this.connections().await?;
            this.worker_of(&after, &before)?.spare.insert(who, spare);

            let mut begun = this.client(who)?.two().await?;
            let after = this.connections().await?;
            let id = begun.begin(&fields(who, "POST", BEGUN, &[])).await?;
            this.worker_of(&before, &after)?.begun.push((begun, id));
        }
        anyhow::bail!("{MANY} connections do not reach all workers")
    }

    fn is_enough(&self) -> bool {
        let enough = |worker: &Worker| {
            worker.streams.len() >= STREAMS
                && worker.spare.len() == Who::ALL.len()
                && !worker.begun.is_empty()
        };
        self.workers.values().filter(|&worker| enough(worker)).count() == WORKERS
    }

    fn client(&self, who: Who) -> Result<&Raw> {
        self.clients.get(&who).context("no such client")
    }

    /// Returns how many connections each worker has accepted.
    async fn connections(&self) -> Result<Vec<u64>> {
        let prefix = format!("listener.127.0.0.1_{}.worker_", self.stack.port());
        let mut counts = Vec::new();
        for worker in 0..WORKERS {
            let stat = format!("{prefix}{worker}.downstream_cx_total");
            counts.push(self.stack.envoy.stat(&stat).await?.context(stat)?);
        }
        Ok(counts)
    }

    fn worker_of(&mut self, before: &[u64], after: &[u64]) -> Result<&mut Worker> {
        let mut grown = before.iter().zip(after).map(|(before, after)| after > before);
        let worker = grown.position(|grown| grown).context("no worker has a new connection")?;
        Ok(self.workers.entry(worker).or_default())
    }

    /// Opens a stream that goes on, and reads it in the background.
    async fn stream(&mut self, who: Who) -> Result<Arc<Stream>> {
        let mut connection = self.client(who)?.two().await?;
        let headers = fields(who, "GET", STREAM, &[(ANSWER, "stream")]);
        let id = connection.send(&Request { headers, ..Request::default() }).await?;
        let answer = connection.answer(id, DEADLINE).await;
        ensure!(answer == Answer::Status(200), "a stream was answered {answer:?}");
        let stream = Arc::new(Stream::default());
        let shared = Arc::clone(&stream);
        self.reading.spawn(async move {
            while connection.data(id, DEADLINE).await.is_some() {
                shared.ticks.fetch_add(1, Ordering::Relaxed);
            }
            shared.ended.store(true, Ordering::Relaxed);
        });
        Ok(stream)
    }

    /// Ends the VM of a worker, and gives what the client saw. Requests that had
    /// passed the filter by then are ended with trailers that it would remove.
    pub async fn trap(&mut self, worker: usize) -> Result<Answer> {
        let answer = self.claim(worker, Who::Certificate, TRAP).await?;
        let worker = self.workers.get_mut(&worker).context("no such worker")?;
        let trailers = [(b"x-remote-user".to_vec(), b"admin".to_vec())];
        for (mut connection, id) in worker.begun.drain(..) {
            // It may be closed by now.
            if connection.end(id, &trailers).await.is_ok() {
                connection.answer(id, DEADLINE).await;
            }
        }
        Ok(answer)
    }

    /// Ends the VM of a worker until Envoy does not load it anew at once, which
    /// it does once in a second, and sends claims of everyone meanwhile: what
    /// they were answered by no VM.
    pub async fn claims_without_a_vm(&mut self, worker: usize) -> Result<Vec<Answer>> {
        wait::until("all claims to meet no VM", DEADLINE, async || {
            self.trap(worker).await?;
            let before = self.vm_stat("vm_reload_backoff").await?;
            let mut answers = Vec::new();
            for who in Who::ALL {
                answers.push(self.claim(worker, who, PROBE).await?);
            }
            let met_none = self.vm_stat("vm_reload_backoff").await? - before;
            ensure!(met_none == u64::try_from(answers.len())?, "only {met_none} did");
            anyhow::Ok(answers)
        })
        .await
    }

    /// Sends a request with claims on the spare connection to a worker.
    async fn claim(&mut self, worker: usize, who: Who, path: &str) -> Result<Answer> {
        let claims = [
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
            ("x-mixed-version-proxy-cluster", "kube-apiserver__front-proxy"),
        ];
        let headers = fields(who, "GET", path, &claims);
        let worker = self.workers.get_mut(&worker).context("no such worker")?;
        let connection = worker.spare.get_mut(&who).context("no connection to the worker")?;
        let id = connection.send(&Request { headers, ..Request::default() }).await?;
        Ok(connection.answer(id, DEADLINE).await)
    }

    /// Waits until a request on a new connection to the worker is served.
    pub async fn wait_until_it_serves(&mut self, worker: usize) -> Result<()> {
        wait::until(&format!("worker {worker} to serve"), DEADLINE, async || {
            let before = self.connections().await?;
            let mut connection = self.client(Who::Token)?.one().await?;
            let after = self.connections().await?;
            let grown = before.iter().zip(&after).position(|(before, after)| after > before);
            ensure!(grown == Some(worker), "no connection to it");
            let request = format!(
                "GET {PROBE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\
                 {WHO}: {}\r\nConnection: close\r\n\r\n",
                name(Who::Token)
            );
            connection.send(request.as_bytes()).await?;
            let statuses = connection.statuses(1, DEADLINE).await;
            ensure!(statuses == [200], "it answers {statuses:?}");
            Ok(())
        })
        .await
    }

    /// Waits until all streams of these workers have brought more.
    pub async fn wait_for_ticks(&self, workers: &[usize]) -> Result<()> {
        let streams: Vec<_> = workers
            .iter()
            .filter_map(|worker| self.workers.get(worker))
            .flat_map(|worker| &worker.streams)
            .map(|stream| (stream, stream.ticks.load(Ordering::Relaxed)))
            .collect();
        ensure!(streams.len() >= STREAMS * workers.len(), "too few streams");
        wait::until("the streams of the other workers to go on", DEADLINE, async || {
            for (stream, before) in &streams {
                ensure!(!stream.has_ended(), "one has ended");
                ensure!(stream.ticks.load(Ordering::Relaxed) >= before + 10, "one stands still");
            }
            Ok(())
        })
        .await
    }

    pub async fn vm_stat(&self, name: &str) -> Result<u64> {
        let stat = format!("wasm.mixed-version-proxy.{name}");
        Ok(self.stack.envoy.stat(&stat).await?.unwrap_or_default())
    }
}

/// Returns the header fields of a request.
fn fields(who: Who, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<Field> {
    let (token, name) = (format!("Bearer {TOKEN}"), name(who));
    let mut fields = vec![
        (":method", method),
        (":scheme", "https"),
        (":path", path),
        (":authority", "h"),
        (WHO, &name),
    ];
    if who == Who::Token {
        fields.push(("authorization", &token));
    }
    fields.extend(more);
    fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}
