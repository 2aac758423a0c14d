//! Lists and watches the slices of one Service with one client, until that fails.
//!
//! Nothing is waited for without a bound: a list must be complete in time, and the API ends each
//! watch in time, so a connection that is silent for longer is broken ([`super::access`]).

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
use super::pause::Pause;
use crate::causes::with_causes;
use crate::config::SlicesSource;
use crate::sources::news::News;

#[cfg(test)]
mod tests;

/// The code of a watch whose resource version is too old.
const GONE: u16 = 410;

/// How long is waited for the API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The time in which a list must be complete.
    pub list: Duration,
    /// In seconds: how long a watch runs before it is resumed.
    pub watch: u32,
    /// The first and the longest pause after a failure.
    pub pause: [Duration; 2],
}

/// Sends the servers whenever slices change. Returns why that ended; `None`: nobody receives them.
pub(super) async fn follow(
    client: Client,
    source: &SlicesSource,
    bounds: Bounds,
    news: &mpsc::Sender<News>,
) -> Option<String> {
    let api = Api::<EndpointSlice>::namespaced(client, source.namespace.as_str());
    let selector = format!("kubernetes.io/service-name={}", source.service);
    let settings = watcher::Config::default().labels(&selector).timeout(bounds.watch);
    let mut events = pin!(watcher(api, settings));
    let mut slices = Slices { listing: Some(Instant::now()), ..Slices::default() };
    let mut pause = Pause::new(bounds.pause);
    loop {
        let next = events.next();
        let event = match slices.listing {
            None => next.await,
            Some(begun) => match tokio::time::timeout_at(begun + bounds.list, next).await {
                Ok(event) => event,
                Err(_) => return Some(format!("no list within {} s", bounds.list.as_secs_f64())),
            },
        };
        match event {
            None => return Some("the watch ended".to_owned()),
            // The watcher lists again: the watch was behind what the API remembers. If that goes on
            // and on, the API must not be asked as fast as it answers.
            Some(Err(watcher::Error::WatchError(status))) if status.code == GONE => {
                pause.wait().await;
                continue;
            }
            Some(Err(error)) => return Some(with_causes(&error)),
            Some(Ok(event)) => slices.take(event),
        }
        let listed = slices.listing.is_none();
        if listed && news.send(servers(slices.known.values(), &source.port)).await.is_err() {
            return None;
        }
    }
}

/// The slices by their names.
#[derive(Default)]
struct Slices {
    known: BTreeMap<String, EndpointSlice>,
    /// Those of a list that is not complete.
    listed: BTreeMap<String, EndpointSlice>,
    /// When the list began that is not complete, if there is one.
    listing: Option<Instant>,
}

impl Slices {
    fn take(&mut self, event: Event<EndpointSlice>) {
        match event {
            Event::Init => {
                self.listed.clear();
                self.listing = Some(Instant::now());
            }
            Event::InitApply(slice) => {
                self.listed.insert(slice.name_any(), slice);
            }
            Event::InitDone => {
                self.known = std::mem::take(&mut self.listed);
                self.listing = None;
            }
            Event::Apply(slice) => {
                self.known.insert(slice.name_any(), slice);
            }
            Event::Delete(slice) => {
                self.known.remove(&slice.name_any());
            }
        }
    }
}
