//! A companion that answers about absence as the test tells it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::extract::{Query, State};
use axum::http::StatusCode as Code;
use axum::routing::get;
use tokio::task::JoinHandle;

/// The answer of the test's companion to a query.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    Status(u16),
    /// This after a while.
    Late(u16, Duration),
    /// By the end of the path: `absent`, or else served.
    ByName,
}

struct Asked {
    says: Mutex<Says>,
    paths: Mutex<Vec<String>>,
}

/// The test's own companion; dropping it closes its port.
pub struct Fake {
    asked: Arc<Asked>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub async fn start(port: u16) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let asked = Asked { says: Mutex::new(Says::Status(204)), paths: Mutex::new(Vec::new()) };
        let asked = Arc::new(asked);
        let router = axum::Router::new().route("/v1/absence", get(absence));
        let router = router.with_state(Arc::clone(&asked));
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { asked, task })
    }

    pub fn says(&self, says: Says) {
        *lock(&self.asked.says) = says;
    }

    /// Closes its port, and the connections with it.
    pub fn stop(&self) {
        self.task.abort();
    }

    /// Returns the paths that it was asked about since the last time.
    pub fn paths(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.asked.paths))
    }
}

async fn absence(
    State(asked): State<Arc<Asked>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Code {
    let path = query["path"].clone();
    let by_name = if path.ends_with("absent") { 204 } else { 409 };
    lock(&asked.paths).push(path);
    let says = *lock(&asked.says);
    let code = match says {
        Says::Status(code) => code,
        Says::Late(code, delay) => {
            tokio::time::sleep(delay).await;
            code
        }
        Says::ByName => by_name,
    };
    Code::from_u16(code).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
