//! Clients that apply new objects all the time, and the answers that they got.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use wire::client::Client;

use super::doubtful::{Doubtful, Given};

/// What a server says that refuses requests because it stops.
const SHUTTING_DOWN: &str = "apiserver is shutting down";

/// Between two applies of one client.
const PACE: Duration = Duration::from_millis(60);

/// One apply and its end.
#[derive(Debug, Clone)]
pub struct Applied {
    pub label: &'static str,
    pub began: Instant,
    pub ended: Instant,
    pub given: Given,
    /// The status and body, or how the connection broke.
    pub answer: String,
    /// Whether its server was stopping: the connection broke, or the server refused it and
    /// asked to repeat it, which kubectl does.
    pub met_a_stop: bool,
}

/// Clients at work until they are dropped.
pub struct Applying {
    seen: Arc<Mutex<Vec<Applied>>>,
    _tasks: JoinSet<()>,
}

impl Applying {
    /// Each client applies each kind.
    pub fn start(clients: &[Client], kinds: &[Doubtful]) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let mut tasks = JoinSet::new();
        for client in clients {
            for kind in kinds {
                let (client, kind) = (client.clone(), kind.clone());
                let seen = Arc::clone(&seen);
                tasks.spawn(async move {
                    loop {
                        let one = apply(&client, &kind).await;
                        seen.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                        tokio::time::sleep(PACE).await;
                    }
                });
            }
        }
        Self { seen, _tasks: tasks }
    }

    /// Returns what was applied so far, by the begin.
    pub fn seen(&self) -> Vec<Applied> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.sort_by_key(|one| one.began);
        seen
    }
}

/// Applies a new object of this kind.
pub async fn apply(client: &Client, kind: &Doubtful) -> Applied {
    let began = Instant::now();
    let answer = kind.create(client).await;
    let (given, met_a_stop) = match &answer {
        Ok(answer) => {
            let is_reset = answer.status == 503 && answer.header("retry-after").is_none();
            let is_refused = answer.status == 503 && answer.text().contains(SHUTTING_DOWN);
            (kind.given(answer), is_reset || is_refused)
        }
        Err(_) => (Given::Failed, true),
    };
    let answer = match answer {
        Ok(answer) => format!("{}: {}", answer.status, answer.text()),
        Err(error) => format!("{error:#}"),
    };
    Applied { label: kind.label, began, ended: Instant::now(), given, answer, met_a_stop }
}

/// Checks that the answers changed once, from those of one version to those of the other: after an
/// answer of `to`, and the time in which all workers and clusters of Envoy follow, nothing that
/// begins is answered by another version. Returns when the first answer of `to` came.
pub fn changed_once(applied: &[Applied], to: Given, slack: Duration) -> Result<Instant> {
    let first = applied.iter().filter(|one| one.given == to).map(|one| one.ended).min();
    let Some(first) = first else { anyhow::bail!("nobody was answered by the {to:?} version") };
    let late: Vec<_> = applied
        .iter()
        .filter(|one| one.given != to && one.given != Given::Failed)
        .filter(|one| one.began > first + slack)
        .map(|one| (one.label, one.began - first, &one.answer))
        .collect();
    ensure!(late.is_empty(), "answered by the other version after the switch: {late:#?}");
    Ok(first)
}
