//! The operations of the clients of a load.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use wire::client::{Answer, Client, ClientOptions};

use super::journal::{End, Journal, Operation};
use super::retrying::Retrying;
use crate::manifests::{CONFIG_MAPS, config_map};

/// A client at work.
pub(super) struct Worker {
    client: Client,
    retrying: Retrying,
    journal: Journal,
    stop: watch::Receiver<bool>,
    pace: Interval,
}

impl Worker {
    pub(super) fn new(
        client: Client,
        journal: Journal,
        stop: watch::Receiver<bool>,
        pace: Duration,
    ) -> Self {
        let mut pace = tokio::time::interval(pace.max(Duration::from_millis(1)));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { retrying: Retrying::new(client.clone()), client, journal, stop, pace }
    }

    /// Waits for the next operation's time; false when there is none.
    async fn goes_on(&mut self) -> bool {
        if *self.stop.borrow() {
            return false;
        }
        tokio::select! {
            _ = self.pace.tick() => true,
            _ = self.stop.changed() => false,
        }
    }

    /// One operation with retries; its answer if it succeeded.
    async fn run(
        &mut self,
        label: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Answer> {
        self.pace.tick().await;
        let (operation, answer) = self.retrying.run(label, method, path, body).await;
        let answer = answer.filter(|_| operation.is_ok());
        self.journal.note(operation);
        answer
    }

    /// Notes a GET that was sent once.
    fn note_one(&self, label: &'static str, path: &str, started: Instant, end: End) {
        let (method, path, ended) = (Method::GET, path.to_owned(), Instant::now());
        self.journal.note(Operation { label, method, path, started, ended, attempts: 1, end });
    }
}

/// The life of one ConfigMap after the other. When one step failed the object
/// is in an unknown state, and the next one begins.
pub(super) async fn objects(mut worker: Worker, prefix: &'static str) {
    let mut number = 0_u32;
    while worker.goes_on().await {
        number += 1;
        life(&mut worker, &format!("{prefix}-{number}")).await;
    }
}

async fn life(worker: &mut Worker, name: &str) -> Option<()> {
    let path = format!("{CONFIG_MAPS}/{name}");
    worker.run("create", Method::POST, CONFIG_MAPS, Some(&config_map(name))).await?;
    worker.journal.note_created(name);
    worker.run("get", Method::GET, &path, None).await?;
    worker.run("list", Method::GET, &format!("{CONFIG_MAPS}?limit=5"), None).await?;
    let change = json!({ "data": { "key": "another" } });
    worker.run("patch", Method::PATCH, &path, Some(&change)).await?;
    worker.run("delete", Method::DELETE, &path, None).await?;
    Some(())
}

/// The same GET again and again, each answer noted as it is.
pub(super) async fn probe(mut worker: Worker, label: &'static str, path: String) {
    while worker.goes_on().await {
        let started = Instant::now();
        let answer = worker.client.get(&path).await;
        worker.note_one(label, &path, started, End::of(&answer));
    }
}

/// The same by a new client, and so on a new connection, each time.
pub(super) async fn newcomers(
    mut worker: Worker,
    options: ClientOptions,
    label: &'static str,
    path: String,
) {
    while worker.goes_on().await {
        let started = Instant::now();
        let answer = async { Client::new(&options)?.get(&path).await };
        worker.note_one(label, &path, started, End::of(&answer.await));
    }
}

/// A list, and a watch from there that begins again where it ended, for ever:
/// an informer.
pub(super) async fn watcher(mut worker: Worker) {
    let mut version = None;
    while worker.goes_on().await {
        version = match version {
            None => listed(&mut worker).await,
            Some(version) => watched(&mut worker, version).await,
        };
    }
}

/// Returns the version of the list from which to watch.
async fn listed(worker: &mut Worker) -> Option<String> {
    let list = worker.run("relist", Method::GET, CONFIG_MAPS, None).await?.json().ok()?;
    for item in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        note_name(worker, item);
    }
    text(&list, "/metadata/resourceVersion")
}

/// Watches until the watch ends, and says where it got to; `None` when the next
/// one must begin with a list. A watch that is refused for now (429, or a 5xx
/// with `Retry-After`) is noted apart: it is asked for again.
async fn watched(worker: &mut Worker, mut version: String) -> Option<String> {
    let path = format!(
        "{CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion={version}"
    );
    let started = Instant::now();
    let (answer, response) = match worker.client.stream(&path).await {
        Ok(response) if response.status().is_success() => {
            let (status, headers) = (response.status(), response.headers().clone());
            (Ok(Answer { status, headers, body: Vec::new() }), Some(response))
        }
        Ok(response) => (refused(response).await, None),
        Err(error) => (Err(error), None),
    };
    let end = End::of(&answer);
    let repeats = matches!(end, End::Answered { status: 429 | 500..=599, retry_after: true, .. });
    let label = if repeats { "watch-refused" } else { "watch" };
    worker.note_one(label, &path, started, end);
    let Some(mut response) = response else { return repeats.then_some(version) };
    let mut rest = Vec::new();
    loop {
        let chunk = tokio::select! {
            chunk = response.chunk() => chunk,
            _ = worker.stop.changed() => return Some(version),
        };
        // However it ended: the next one begins where this one got to.
        let Ok(Some(chunk)) = chunk else {
            worker.journal.note_watch_ended();
            return Some(version);
        };
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            let object = event.get("object").unwrap_or(&Value::Null);
            let Some(next) = text(object, "/metadata/resourceVersion") else {
                // An ERROR event, such as that the version is too old.
                worker.journal.note_watch_ended();
                return None;
            };
            version = next;
            note_name(worker, object);
        }
    }
}

/// Reads a refusal, and waits as long as it asks for.
async fn refused(response: reqwest::Response) -> Result<Answer> {
    let answer = Answer::read(response).await?;
    if let Some(seconds) = answer.header("retry-after").and_then(|value| value.parse().ok()) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    Ok(answer)
}

fn note_name(worker: &Worker, object: &Value) {
    if let Some(name) = text(object, "/metadata/name") {
        worker.journal.note_watched(&name);
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}
