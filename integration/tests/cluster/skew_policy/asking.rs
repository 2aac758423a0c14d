//! Clients that ask all the time: with the `User-Agent` of a kubelet, and of kubectl.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use harness::control_plane::User;
use harness::site::Site;
use harness::skew::{NEWER, OLDER, only_in};
use harness::wait;
use reqwest::Method;
use tokio::task::JoinSet;
use wire::client::{Client, Http};

use super::rotation::Times;

/// Between two requests of one client.
const PACE: Duration = Duration::from_millis(20);

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Common types, merged discovery, and no API.
const PATHS: [&str; 4] = ["/api/v1/nodes?limit=1", "/apis", "/api/v1/pods?limit=1", "/healthz"];

/// A client, and what it says that it is.
pub struct Asker {
    client: Client,
    user_agent: String,
    paths: Vec<String>,
}

/// One request that ended.
struct Asked {
    at: SystemTime,
    began: Instant,
    ended: Instant,
    failure: Option<String>,
}

/// Clients at work until they are dropped.
pub struct Asking {
    seen: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

/// A kubelet of the newer version, by token and by certificate. It also asks for a type that only newer
/// servers have.
pub fn kubelet(site: &Site) -> Result<Vec<Asker>> {
    let user_agent = format!("kubelet/v{}.0 (linux/amd64) kubernetes/1a2b3c4", NEWER.as_str());
    [User::Admin, User::KubernetesAdmin]
        .into_iter()
        .map(|user| {
            let client = site.plane.client(&site.stack.url(), user, Http::Two)?;
            let paths = PATHS.map(str::to_owned).into_iter().chain([only_in(NEWER, OLDER)?]);
            Ok(Asker { client, user_agent: user_agent.clone(), paths: paths.collect() })
        })
        .collect()
}

/// kubectl of the newer version.
pub fn kubectl(site: &Site) -> Result<Asker> {
    let user_agent = format!("kubectl/v{}.0 (linux/amd64) kubernetes/1a2b3c4", NEWER.as_str());
    let paths = PATHS.map(str::to_owned).to_vec();
    Ok(Asker { client: site.client(Http::Two)?, user_agent, paths })
}

impl Asking {
    pub fn start(askers: Vec<Asker>) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let mut tasks = JoinSet::new();
        for asker in askers {
            tasks.spawn(ask(asker, Arc::clone(&seen)));
        }
        Self { seen, _tasks: tasks }
    }

    /// Returns how requests failed that began outside these times.
    pub fn failures(&self, excused: &Times) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let others = seen.iter().filter(|one| !excused.iter().any(|times| times.contains(&one.at)));
        others.filter_map(|one| one.failure.clone()).collect()
    }

    /// Waits for the first request that began after a moment and succeeded. Returns when it ended, after
    /// that moment.
    pub async fn answered_after(&self, moment: Instant, deadline: Duration) -> Result<Duration> {
        wait::until("an answer", deadline, async || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let after = seen.iter().filter(|one| one.began > moment && one.failure.is_none());
            let first = after.map(|one| one.ended - moment).min();
            ensure!(first.is_some(), "none yet");
            anyhow::Ok(first.unwrap_or_default())
        })
        .await
    }
}

async fn ask(Asker { client, user_agent, paths }: Asker, seen: Arc<Mutex<Vec<Asked>>>) {
    for path in paths.iter().cycle() {
        let (at, began) = (SystemTime::now(), Instant::now());
        let headers = [("user-agent", &*user_agent), ("accept", accept(path))];
        let answer = client.send_with(Method::GET, path, &headers).await;
        let failure = answer.and_then(wire::client::Answer::ok).err();
        let failure = failure.map(|error| format!("{path}: {error:#}"));
        let one = Asked { at, began, ended: Instant::now(), failure };
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        tokio::time::sleep(PACE).await;
    }
}

fn accept(path: &str) -> &'static str {
    if path == "/apis" { AGGREGATED } else { "application/json" }
}
