//! The source `endpointSlices`: the endpoints of a Service, followed by a watch.
//!
//! ```text
//!  Access ──client──▶ list, then watch ──slices──▶ endpoints (pure) ──News──▶
//!    ▲                     │
//!    └──────error──────────┘ a new client: files and peers may have changed
//! ```
//!
//! A watch that ends in time is resumed where it was. After an error, the slices are listed again:
//! they are few, and only an answer proves that the API is back.

mod access;
mod endpoints;
mod follow;
mod pause;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::access::Accessor;
use super::news::News;
use crate::config::{Config, SlicesSource};
use crate::facts::Roster;
use follow::Bounds;
use pause::Pause;

/// The pauses are short, because a server that is replaced meanwhile is noticed only afterwards.
const BOUNDS: Bounds = Bounds {
    list: Duration::from_secs(15),
    watch: 30,
    pause: [Duration::from_millis(500), Duration::from_secs(4)],
};

/// Sends the servers until nobody receives them.
pub(super) async fn run(
    source: SlicesSource,
    config: Arc<Config>,
    peers: watch::Receiver<Arc<Roster>>,
    news: mpsc::Sender<News>,
) {
    // A watch that the API does not end in time has a connection that is broken.
    let silence = Duration::from_secs(u64::from(BOUNDS.watch) + 3);
    let mut accessor = Accessor::new(source.access.clone(), config, peers, silence);
    let mut pause = Pause::new(BOUNDS.pause);
    loop {
        let problem = match accessor.client().await {
            Err(problem) => problem,
            Ok(client) => match follow::follow(client, &source, BOUNDS, &news).await {
                None => return,
                Some(problem) => problem,
            },
        };
        if news.send(Err(problem)).await.is_err() {
            return;
        }
        pause.wait().await;
    }
}
