//! The filter fails: a build of it that traps on a path. While the VM of one
//! worker after the other is gone, nothing is served with what a client claims,
//! and nothing by the front proxy's connections but for verified clients. Each
//! VM comes back by itself, and streams of other workers go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::artefacts::Artefact;
use integration::frames::Field;
use integration::raw::{Answer, One, Raw, Request, Two};
use integration::recorder::ANSWER;
use integration::stack::Stack;
use integration::wait;
use serde_json::json;
use tokio::task::JoinSet;

#[path = "envoy_identity/corpus.rs"]
mod corpus;
#[path = "envoy_identity/http1.rs"]
mod http1;
#[path = "envoy_identity/http2.rs"]
mod http2;
#[path = "envoy_identity/judge.rs"]
mod judge;
#[path = "envoy_identity/run.rs"]
mod run;
#[path = "envoy_identity/site.rs"]
mod site;

use corpus::{Case, Who};
use run::{Clients, Outcome};
use site::Site;

const WORKERS: usize = 4;

/// The streams on each worker at least.
const STREAMS: usize = 3;

/// The kernel spreads connections over workers at random; this many reach all.
const MANY: usize = 400;

/// Every so many-th request of the corpus is sent while a VM is gone.
const STEP: usize = 9;

const DEADLINE: Duration = Duration::from_secs(60);

/// What streams ask for.
const STREAM: &str = "/api/v1/namespaces/n/configmaps?watch=true";

/// What requests ask for that are ended later.
const BEGUN: &str = "/api/v1/namespaces/n/configmaps/begun";

/// What is asked for to see that a worker serves.
const PROBE: &str = "/api/v1/pods";

/// A stream that brings something all the time.
#[derive(Debug, Default)]
struct Stream {
    ticks: AtomicU64,
    ended: AtomicBool,
}

/// What is open on one worker.
#[derive(Default)]
struct Worker {
    streams: Vec<Arc<Stream>>,
    /// A connection on which nothing was sent.
    unused: Vec<One>,
    /// Requests whose trailers are yet to come.
    begun: Vec<(Two, u32)>,
}

/// Envoy, and connections whose workers are known.
struct Workers {
    stack: Stack,
    clients: Clients,
    workers: BTreeMap<usize, Worker>,
    reading: JoinSet<()>,
}

impl Workers {
    /// Opens streams and spare connections until all workers have enough.
    async fn open(stack: Stack, clients: Clients) -> Result<Self> {
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

            let unused = this.client(who)?.one().await?;
            let before = this.connections().await?;
            this.worker_of(&after, &before)?.unused.push(unused);

            let mut begun = this.client(who)?.two().await?;
            let after = this.connections().await?;
            let id = begun.begin(&fields(who, "POST", BEGUN, &[])).await?;
            this.worker_of(&before, &after)?.begun.push((begun, id));
        }
        anyhow::bail!("{MANY} connections do not reach all workers")
    }

    fn is_enough(&self) -> bool {
        let enough = |worker: &Worker| {
            worker.streams.len() >= STREAMS && !worker.unused.is_empty() && !worker.begun.is_empty()
        };
        self.workers.values().filter(|&worker| enough(worker)).count() == WORKERS
    }

    fn client(&self, who: Who) -> Result<&Raw> {
        self.clients.get(&who).context("no such client")
    }

    /// How many connections each worker has accepted.
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
    async fn trap(&mut self, worker: usize) -> Result<Vec<u16>> {
        let worker = self.workers.get_mut(&worker).context("no such worker")?;
        let mut connection = worker.unused.pop().context("no connection to the worker")?;
        let request = "GET /trap HTTP/1.1\r\nHost: h\r\nX-Remote-User: admin\r\n\
            X-Mixed-Version-Proxy-Cluster: kube-apiserver__front-proxy\r\nConnection: close\r\n\r\n";
        connection.send(request.as_bytes()).await?;
        let statuses = connection.statuses(1, DEADLINE).await;
        let trailers = [(b"x-remote-user".to_vec(), b"admin".to_vec())];
        for (connection, id) in &mut worker.begun {
            // It may be closed by now.
            if connection.end(*id, &trailers).await.is_ok() {
                connection.answer(*id, DEADLINE).await;
            }
        }
        Ok(statuses)
    }

    /// Waits until a request on a new connection to the worker is served.
    async fn wait_until_it_serves(&mut self, worker: usize) -> Result<()> {
        wait::until(&format!("worker {worker} to serve"), DEADLINE, async || {
            let before = self.connections().await?;
            let mut connection = self.client(Who::Token)?.one().await?;
            let after = self.connections().await?;
            let grown = before.iter().zip(&after).position(|(before, after)| after > before);
            ensure!(grown == Some(worker), "no connection to it");
            let request = format!(
                "GET {PROBE} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
                corpus::TOKEN
            );
            connection.send(request.as_bytes()).await?;
            let statuses = connection.statuses(1, DEADLINE).await;
            ensure!(statuses == [200], "it answers {statuses:?}");
            Ok(())
        })
        .await
    }

    /// Waits until all streams of these workers have brought more.
    async fn wait_for_ticks(&self, workers: &[usize]) -> Result<()> {
        let streams: Vec<_> = workers
            .iter()
            .filter_map(|worker| self.workers.get(worker))
            .flat_map(|worker| &worker.streams)
            .map(|stream| (stream, stream.ticks.load(Ordering::Relaxed)))
            .collect();
        ensure!(streams.len() >= STREAMS * workers.len(), "too few streams");
        wait::until("the streams of the other workers to go on", DEADLINE, async || {
            for (stream, before) in &streams {
                ensure!(!stream.ended.load(Ordering::Relaxed), "one has ended");
                ensure!(stream.ticks.load(Ordering::Relaxed) >= before + 10, "one stands still");
            }
            Ok(())
        })
        .await
    }

    async fn vm_stat(&self, name: &str) -> Result<u64> {
        let stat = format!("wasm.mixed-version-proxy.{name}");
        Ok(self.stack.envoy.stat(&stat).await?.unwrap_or_default())
    }
}

/// The header fields of a request.
fn fields(who: Who, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<Field> {
    let token = format!("Bearer {}", corpus::TOKEN);
    let mut fields =
        vec![(":method", method), (":scheme", "https"), (":path", path), (":authority", "h")];
    if who == Who::Token {
        fields.push(("authorization", &token));
    }
    fields.extend(more);
    fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn is_of(outcome: &Outcome, status: u16) -> bool {
    matches!(outcome, Outcome::Answered(statuses) if statuses.contains(&status))
}

/// A part of the corpus, with the numbers that the requests carry.
fn hostile_requests() -> Vec<(usize, Case)> {
    corpus::all().into_iter().enumerate().step_by(STEP).collect()
}

#[tokio::test]
async fn a_trap_grants_nothing_and_ends_nothing_on_other_workers() -> Result<()> {
    let site = Site::start().await?;
    let mut options = site.stack_options()?;
    options.concurrency = u32::try_from(WORKERS)?;
    let envoy =
        json!({ "directory": options.published(), "filterModule": Artefact::FilterTrap.path()? });
    options.companion.as_object_mut().context("no object")?.insert("envoy".to_owned(), envoy);
    let stack = site.stack(options).await?;
    let clients = site.clients(stack.port())?;
    let mut workers = Workers::open(stack, clients.clone()).await?;
    let cases = hostile_requests();
    let sent: Vec<Case> = cases.iter().map(|(_, case)| case.clone()).collect();

    let (mut served, mut refused) = (0, 0);
    // The last one is never hit: its streams live through all.
    for worker in 0..WORKERS - 1 {
        let others: Vec<_> = (worker + 1..WORKERS).collect();
        let hostile = run::send_all(&sent, &clients, run::DEADLINE);
        let trap = async {
            let seen = workers.trap(worker).await?;
            workers.wait_for_ticks(&others).await?;
            anyhow::Ok(seen)
        };
        let (outcomes, seen) = tokio::join!(hostile, trap);
        let seen = seen?;
        assert!(seen.iter().all(|&status| status >= 500), "a trap was answered {seen:?}");
        let outcomes = outcomes?;
        served += outcomes.iter().filter(|&outcome| is_of(outcome, 200)).count();
        refused += outcomes.iter().filter(|&outcome| is_of(outcome, 503)).count();
        workers.wait_until_it_serves(worker).await?;
        workers.wait_for_ticks(&others).await?;
        assert_eq!(workers.vm_stat("vm_reload_success").await?, u64::try_from(worker + 1)?);
    }
    println!("{served} hostile requests answered 200, {refused} answered 503");
    let ended = |worker: &Worker| {
        worker.streams.iter().filter(|stream| stream.ended.load(Ordering::Relaxed)).count()
    };
    for (number, worker) in &workers.workers {
        println!("worker {number}: {} of {} streams ended", ended(worker), worker.streams.len());
    }
    // That something was refused meanwhile is not what made it safe.
    assert!(served > sent.len() / 2, "{served} answers");

    let Workers { stack, reading, .. } = workers;
    drop(reading);
    let Stack { envoy, companion, .. } = stack;
    envoy.stop().await?;
    let records = run::by_case(site.records().await?);
    drop(companion);
    let expected = site.expected()?;
    let mut faults = Vec::new();
    for (number, case) in &cases {
        let arrived = records.get(&Some(*number)).map(Vec::as_slice).unwrap_or_default();
        let expected = expected.get(&case.who).context("no such client")?;
        for record in arrived {
            let found = judge::faults(record, expected, &case.paths);
            faults.extend(found.iter().map(|fault| format!("{}: {fault} arrived", case.name)));
        }
    }
    for record in records.get(&None).map(Vec::as_slice).unwrap_or_default() {
        let path = record.path.escape_ascii();
        if ![STREAM, BEGUN, PROBE].iter().any(|own| own.as_bytes() == record.path) {
            faults.push(format!("{path} arrived, which nobody may send"));
        }
        let of_any = expected.values().any(|of| judge::gained(record, of).is_empty());
        if !of_any {
            faults.push(format!("{path} arrived with {:?}", (&record.headers, &record.trailers)));
        }
    }
    let first: Vec<_> = faults.iter().take(40).collect();
    assert!(faults.is_empty(), "{} faults: {first:#?}", faults.len());
    Ok(())
}
