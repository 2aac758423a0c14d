//! The source `dns`: the addresses of a name, queried again when the answer is too old.
//!
//! ```text
//!  query (I/O) ──▶ Answer ──servers──▶ News
//!     ▲              │
//!     └─pause, TTL───┘
//! ```

mod answer;
mod query;

use tokio::sync::mpsc;

use super::news::News;
use crate::config::DnsSource;
use answer::Answer;

/// Sends the servers until nobody receives them.
pub(super) async fn run(source: DnsSource, news: mpsc::Sender<News>) {
    loop {
        let (found, ttl) = match query::query(&source).await {
            Ok(Answer { servers, ttl }) => (Ok(servers), ttl),
            Err(problem) => (Err(problem), None),
        };
        if news.send(found).await.is_err() {
            return;
        }
        // What is not known is asked again soon.
        let pause = ttl.unwrap_or_default();
        tokio::time::sleep(pause.clamp(source.min_interval, source.max_interval)).await;
    }
}
