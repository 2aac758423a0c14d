//! Lists and watches the slices of one Service with one client, until that fails.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::endpoints::servers;
use crate::causes::with_causes;
use crate::config::SlicesSource;
use crate::sources::news::News;

/// The time in which the first list must be complete.
const LIST: Duration = Duration::from_secs(15);

/// In seconds: how long a watch runs before it is resumed.
const WATCH: u32 = 60;

/// The code of a watch whose resource version is too old.
const GONE: u16 = 410;

/// How following ended.
pub(super) enum Followed {
    /// Nobody receives the news.
    Closed,
    /// `listed`: the slices were listed before it failed.
    Failed { listed: bool, problem: String },
}

/// Sends the servers whenever slices change.
pub(super) async fn follow(
    client: Client,
    source: &SlicesSource,
    news: &mpsc::Sender<News>,
) -> Followed {
    let api = Api::<EndpointSlice>::namespaced(client, source.namespace.as_str());
    let selector = format!("kubernetes.io/service-name={}", source.service);
    let settings = watcher::Config::default().labels(&selector).timeout(WATCH);
    let mut events = pin!(watcher(api, settings));
    let mut slices = Slices::default();
    let deadline = Instant::now() + LIST;
    loop {
        let next = events.next();
        let event = if slices.listed {
            next.await
        } else {
            match tokio::time::timeout_at(deadline, next).await {
                Ok(event) => event,
                Err(_) => return slices.failed(format!("no list within {} s", LIST.as_secs())),
            }
        };
        match event {
            None => return slices.failed("the watch ended"),
            // The watcher lists again: the watch was behind what the API remembers.
            Some(Err(watcher::Error::WatchError(status))) if status.code == GONE => continue,
            Some(Err(error)) => return slices.failed(with_causes(&error)),
            Some(Ok(event)) => slices.take(event),
        }
        if slices.listed && news.send(servers(slices.known.values(), &source.port)).await.is_err() {
            return Followed::Closed;
        }
    }
}

/// The slices by their names.
#[derive(Default)]
struct Slices {
    known: BTreeMap<String, EndpointSlice>,
    /// Those of a list that is not complete.
    listing: BTreeMap<String, EndpointSlice>,
    /// Whether a list was ever complete.
    listed: bool,
}

impl Slices {
    fn take(&mut self, event: Event<EndpointSlice>) {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(slice) => {
                self.listing.insert(slice.name_any(), slice);
            }
            Event::InitDone => {
                self.known = std::mem::take(&mut self.listing);
                self.listed = true;
            }
            Event::Apply(slice) => {
                self.known.insert(slice.name_any(), slice);
            }
            Event::Delete(slice) => {
                self.known.remove(&slice.name_any());
            }
        }
    }

    fn failed(&self, problem: impl Into<String>) -> Followed {
        Followed::Failed { listed: self.listed, problem: problem.into() }
    }
}
