//! Clients that request what all servers have, and the servers that answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use fake_apiserver::replay::PEER_HEADER;
use harness::manifests::{CONFIG_MAPS, config_map};
use reqwest::Method;
use tokio::task::JoinSet;
use wire::client::{Answer, Client};

/// Between two requests of one client.
const PACE: Duration = Duration::from_millis(5);

/// One request and its end.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub began: Instant,
    pub ended: Instant,
    /// Who answered with a success, or how it failed.
    pub answer: Result<String, String>,
    /// Whether it failed when it may have been executed: it died with its connection.
    pub died: bool,
}

/// Clients at work until they are dropped: of three, one creates objects and two read.
pub struct Asking {
    seen: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Asking {
    pub fn start(clients: Vec<Client>) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let mut tasks = JoinSet::new();
        for (number, client) in clients.into_iter().enumerate() {
            let method = if number % 3 == 0 { Method::POST } else { Method::GET };
            tasks.spawn(ask(client, number, method, Arc::clone(&seen)));
        }
        Self { seen, _tasks: tasks }
    }

    /// Lets time pass, and returns the requests that began in it and ended.
    pub async fn for_a_while(&self, time: Duration) -> Vec<Asked> {
        let began = Instant::now();
        tokio::time::sleep(time).await;
        self.since(began)
    }

    /// Returns the requests that began since then and ended.
    pub fn since(&self, began: Instant) -> Vec<Asked> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|one| one.began >= began).cloned().collect()
    }

    /// Returns all requests that ended since then.
    pub fn ended_since(&self, time: Instant) -> Vec<Asked> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|one| one.ended >= time).cloned().collect()
    }
}

async fn ask(client: Client, who_asks: usize, method: Method, seen: Arc<Mutex<Vec<Asked>>>) {
    for number in 0_u64.. {
        let began = Instant::now();
        let answer = if method == Method::POST {
            client.post(CONFIG_MAPS, &config_map(&format!("asked-{who_asks}-{number}"))).await
        } else {
            client.get(&format!("{CONFIG_MAPS}?limit=1")).await
        };
        let died = match &answer {
            Ok(answer) => answer.status == 503 && answer.header("retry-after").is_none(),
            Err(_) => true,
        };
        let (method, ended) = (method.clone(), Instant::now());
        let one = Asked { method, began, ended, answer: who(answer), died };
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        tokio::time::sleep(PACE).await;
    }
}

/// Returns who answered.
pub fn who(answer: Result<Answer>) -> Result<String, String> {
    let answer = answer.and_then(Answer::ok).map_err(|error| format!("{error:#}"))?;
    answer.header(PEER_HEADER).map(str::to_owned).ok_or("no peer is named".to_owned())
}

/// Returns who answered any of these.
pub fn answered(asked: &[Asked]) -> BTreeSet<&str> {
    asked.iter().filter_map(|one| one.answer.as_deref().ok()).collect()
}

/// Returns the failures, counted, without those of requests that died with their connection.
pub fn failures(asked: &[Asked]) -> BTreeMap<&str, usize> {
    let mut failures = BTreeMap::new();
    for one in asked.iter().filter(|one| !(one.died && one.method == Method::POST)) {
        if let Err(failure) = &one.answer {
            *failures.entry(failure.as_str()).or_default() += 1;
        }
    }
    failures
}
