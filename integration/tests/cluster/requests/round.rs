//! One client: the life of an object of each type, and requests for what does
//! not exist, round after round, each answer judged as it comes.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::Value;
use wire::client::{Answer, Client};

use super::kinds::{ACCEPTS, Kind, UNKNOWN};
use super::request::Request;

/// No message shows more problems than these.
const SHOWN: usize = 10;

/// The answers to a client.
#[derive(Debug, Default)]
pub struct Tally {
    pub requests: u64,
    pub skewed: u64,
    pub common: u64,
    pub unknown: u64,
    pub wrong_404s: u64,
    pub true_404s: u64,
    pub true_404s_kept: u64,
    pub failures: u64,
    pub problems: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.skewed += other.skewed;
        self.common += other.common;
        self.unknown += other.unknown;
        self.wrong_404s += other.wrong_404s;
        self.true_404s += other.true_404s;
        self.true_404s_kept += other.true_404s_kept;
        self.failures += other.failures;
        self.problems.extend(other.problems);
        self.problems.truncate(SHOWN);
    }

    /// Notes an answer to a request that some server serves.
    fn served(&mut self, request: &Request, answer: &Answer) {
        if answer.status.is_success() {
            return;
        }
        if answer.status == 404 {
            self.wrong_404s += 1;
        } else {
            self.failures += 1;
        }
        self.problem(request, answer);
    }

    fn problem(&mut self, request: &Request, answer: &Answer) {
        let Request { method, path, .. } = request;
        self.problems.push(format!("{method} {path}: {} {}", answer.status, answer.text()));
    }
}

/// A client with connections of its own.
pub struct Worker {
    pub number: u32,
    pub envoy: Client,
    pub direct: Vec<Client>,
    pub kinds: Vec<Kind>,
}

impl Worker {
    /// Continues until the client has sent `requests` requests.
    pub async fn run(self, requests: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut round = 0_usize;
        while tally.requests < requests {
            let accept = ACCEPTS.get(round % ACCEPTS.len()).copied().flatten();
            let name = format!("worker-{}-round-{round}", self.number);
            for kind in &self.kinds {
                self.life(kind, &name, accept, &mut tally).await?;
            }
            let unknown = UNKNOWN.get(round % UNKNOWN.len()).context("an unknown type")?;
            self.unknown(unknown, accept, &mut tally).await?;
            round += 1;
        }
        Ok(tally)
    }

    async fn life(
        &self,
        kind: &Kind,
        name: &str,
        accept: Option<&'static str>,
        tally: &mut Tally,
    ) -> Result<()> {
        let object = format!("{}/{name}", kind.collection);
        let create = Request::new(Method::POST, kind.collection).body(kind.named(name));
        self.served(create, kind.servers, tally).await?;
        self.served(Request::new(Method::GET, &object).accept(accept), kind.servers, tally).await?;
        let list = Request::new(Method::GET, format!("{}?limit=10", kind.collection));
        self.served(list.accept(accept), kind.servers, tally).await?;
        self.watch(kind, name, tally).await?;
        if let Some(subresource) = &kind.subresource {
            let path = format!("{object}/{}", subresource.name);
            self.served(Request::new(Method::GET, &path), subresource.servers, tally).await?;
            let patch = Request::new(Method::PATCH, &path).body(subresource.patch.clone());
            self.served(patch, subresource.servers, tally).await?;
        }
        // At once: a pod would otherwise wait for its kubelet.
        let delete = format!("{object}?gracePeriodSeconds=0");
        self.served(Request::new(Method::DELETE, delete), kind.servers, tally).await?;
        // The object has gone, and that is the truth.
        self.gone(Request::new(Method::GET, &object).accept(accept), kind.servers, tally).await?;
        self.gone(Request::new(Method::DELETE, &object), kind.servers, tally).await
    }

    async fn unknown(
        &self,
        path: &str,
        accept: Option<&'static str>,
        tally: &mut Tally,
    ) -> Result<()> {
        let object = || format!("{path}/any");
        let body = serde_json::json!({ "metadata": { "name": "any" } });
        let requests = [
            Request::new(Method::GET, path).accept(accept),
            Request::new(Method::GET, object()).accept(accept),
            Request::new(Method::GET, format!("{path}?watch=true")).accept(accept),
            Request::new(Method::POST, path).body(body),
            Request::new(Method::DELETE, object()),
        ];
        let all: Vec<usize> = (0..self.direct.len()).collect();
        for request in requests {
            tally.requests += 1;
            tally.unknown += 1;
            self.same_404(request, &all, tally).await?;
        }
        Ok(())
    }

    async fn served(&self, request: Request, by: &[usize], tally: &mut Tally) -> Result<()> {
        self.count(by, tally);
        let answer = self.envoy.send(request.to(&self.envoy)).await?;
        tally.served(&request, &answer);
        Ok(())
    }

    /// A watch is served when its first event comes.
    async fn watch(&self, kind: &Kind, name: &str, tally: &mut Tally) -> Result<()> {
        self.count(kind.servers, tally);
        let path = format!("{}?watch=true&fieldSelector=metadata.name={name}", kind.collection);
        let mut response = self.envoy.stream(&path).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        // An event is a line, and may come in pieces.
        while !body.contains(&b'\n')
            && let Some(chunk) = response.chunk().await?
        {
            body.extend_from_slice(&chunk);
        }
        let answer = Answer { status, headers, body };
        tally.served(&Request::new(Method::GET, &path), &answer);
        if status.is_success() {
            let line = answer.body.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let event: Value = serde_json::from_slice(line)
                .with_context(|| format!("{path}: {}", answer.text()))?;
            let seen = event.pointer("/object/metadata/name").and_then(Value::as_str);
            anyhow::ensure!(seen == Some(name), "{path}: {event}");
        }
        Ok(())
    }

    /// A request for an object that does not exist any more.
    async fn gone(&self, request: Request, by: &[usize], tally: &mut Tally) -> Result<()> {
        self.count(by, tally);
        self.same_404(request, by, tally).await
    }

    /// Each server that could know gives the same 404, and that must come
    /// through Envoy as it is.
    async fn same_404(&self, request: Request, by: &[usize], tally: &mut Tally) -> Result<()> {
        let answer = self.envoy.send(request.to(&self.envoy)).await?;
        tally.true_404s += 1;
        let mut kept = true;
        for server in by {
            let direct = self.direct.get(*server).context("the server")?;
            let expected = direct.send(request.to(direct)).await?;
            anyhow::ensure!(expected.status == 404, "{request:?}: {}", expected.text());
            kept &= same(&answer, &expected);
        }
        if kept {
            tally.true_404s_kept += 1;
        } else {
            tally.problem(&request, &answer);
        }
        Ok(())
    }

    fn count(&self, by: &[usize], tally: &mut Tally) {
        tally.requests += 1;
        if by.len() == self.direct.len() {
            tally.common += 1;
        } else {
            tally.skewed += 1;
        }
    }
}

/// Returns whether it is the same answer: status, body, and every header but those
/// that differ between any two answers of one server.
fn same(one: &Answer, other: &Answer) -> bool {
    (one.status, &one.body, headers(one)) == (other.status, &other.body, headers(other))
}

fn headers(answer: &Answer) -> Vec<(&str, &[u8])> {
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .filter(|(name, _)| !matches!(*name, "date" | "audit-id"))
        .collect();
    headers.sort_unstable();
    headers
}
