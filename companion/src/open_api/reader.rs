//! The task that reads and merges, one merged document after the other, and with many control
//! planes no more at once than there are slots: each takes megabytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_discovery::MergedOpenApi;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::fetch::Fetcher;
use super::merge::{Attempt, attempt};
use super::metrics::OpenApiMetrics;
use crate::apiserver::Clients;
use crate::config::Config;
use crate::facts::{OpenApiDocument, OpenApiMerge};

/// The time from a change to reading. A change at one peer mostly comes to the others too, and then
/// there is nothing to merge.
const SETTLE: Duration = Duration::from_secs(1);

/// The time from an attempt in which a document could not be read to the next one.
const RETRY: Duration = Duration::from_secs(30);

pub struct OpenApiReader {
    configs: watch::Receiver<Arc<Config>>,
    merges: watch::Receiver<Arc<[OpenApiMerge]>>,
    merged: mpsc::Sender<MergedOpenApi>,
    clients: Clients,
    slots: Arc<Semaphore>,
    metrics: OpenApiMetrics,
    /// What was tried, by path.
    tried: BTreeMap<Box<str>, Tried>,
}

/// The last attempt to merge the documents of a path.
struct Tried {
    /// The hashes of those that a peer in rotation has.
    hashes: Vec<Box<str>>,
    /// When to try again, if a document could not be read.
    again: Option<Instant>,
    /// What could not be read; logged once.
    problem: Option<String>,
}

impl OpenApiReader {
    /// Returns a reader of the documents in `merges`. `merged` gets what is made of them. `slots` are
    /// those of all readers.
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        merges: watch::Receiver<Arc<[OpenApiMerge]>>,
        merged: mpsc::Sender<MergedOpenApi>,
        slots: Arc<Semaphore>,
        metrics: OpenApiMetrics,
    ) -> Self {
        Self {
            configs,
            merges,
            merged,
            clients: Clients::default(),
            slots,
            metrics,
            tried: BTreeMap::new(),
        }
    }

    /// Runs until no sender or no receiver is left.
    pub async fn run(mut self) {
        loop {
            let again = self.tried.values().filter_map(|tried| tried.again).min();
            let wait = async {
                match again {
                    Some(again) => tokio::time::sleep_until(again).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.merges.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    tokio::time::sleep(SETTLE).await;
                }
                () = wait => {}
            }
            let merges = Arc::clone(&self.merges.borrow_and_update());
            self.tried.retain(|path, _| merges.iter().any(|merge| merge.path == *path));
            for merge in merges.iter() {
                // A change says anew what is to be merged.
                if self.merges.has_changed().unwrap_or(true) {
                    break;
                }
                if self.is_due(merge) && self.merge(merge).await.is_err() {
                    return;
                }
            }
        }
    }

    fn is_due(&self, merge: &OpenApiMerge) -> bool {
        let Some(tried) = self.tried.get(&merge.path) else { return true };
        let is_new = !present(merge).map(|document| &document.hash).eq(&tried.hashes);
        is_new || tried.again.is_some_and(|again| again <= Instant::now())
    }

    /// Merges documents, and sends the merged one.
    ///
    /// # Errors
    /// No receiver is left.
    async fn merge(
        &mut self,
        merge: &OpenApiMerge,
    ) -> Result<(), mpsc::error::SendError<MergedOpenApi>> {
        let Attempt { merged, problem } = self.attempt(merge).await;
        let before = self.tried.remove(&merge.path);
        if problem.is_some() && problem != before.and_then(|before| before.problem) {
            let (path, error) = (&merge.path, problem.as_deref());
            tracing::warn!(path, error, "cannot read an OpenAPI v3 document: merging the others");
        }
        let tried = Tried {
            hashes: present(merge).map(|document| document.hash.clone()).collect(),
            again: problem.is_some().then(|| Instant::now() + RETRY),
            problem,
        };
        self.tried.insert(merge.path.clone(), tried);
        match merged {
            Some(merged) => self.merged.send(merged).await,
            None => Ok(()),
        }
    }

    async fn attempt(&mut self, merge: &OpenApiMerge) -> Attempt {
        // Never closed.
        let _slot = self.slots.acquire().await;
        let config = self.configs.borrow().clone();
        let (clients, metrics) = (&mut self.clients, &self.metrics);
        let fetcher = Fetcher { config: &config, clients, metrics, path: &merge.path };
        attempt(fetcher, &present(merge).collect::<Vec<_>>()).await
    }
}

/// Returns the documents that a peer in rotation has. What was made with the others stays.
fn present(merge: &OpenApiMerge) -> impl Iterator<Item = &OpenApiDocument> {
    merge.documents.iter().filter(|document| !document.peers.is_empty())
}
