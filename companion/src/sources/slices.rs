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

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::{mpsc, watch};

use self::access::Accessor;
use super::news::News;
use crate::config::{Config, SlicesSource};
use crate::facts::Roster;
use follow::Followed;

/// The pause after the first failure, and the longest. Short, because a server that is replaced
/// meanwhile is noticed only afterwards.
const PAUSE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(4)];

/// Sends the servers until nobody receives them.
pub(super) async fn run(
    source: SlicesSource,
    config: Arc<Config>,
    peers: watch::Receiver<Arc<Roster>>,
    news: mpsc::Sender<News>,
) {
    let mut accessor = Accessor::new(source.access.clone(), config, peers);
    let [shortest, longest] = PAUSE;
    let mut pause = shortest;
    loop {
        let problem = match accessor.client().await {
            Err(problem) => problem,
            Ok(client) => match follow::follow(client, &source, &news).await {
                Followed::Closed => return,
                Followed::Failed { listed, problem } => {
                    if listed {
                        pause = shortest;
                    }
                    problem
                }
            },
        };
        if news.send(Err(problem)).await.is_err() {
            return;
        }
        let spread = rand::rng().random_range(0.8..1.2);
        tokio::time::sleep(pause.mul_f64(spread)).await;
        pause = longest.min(pause * 2);
    }
}
