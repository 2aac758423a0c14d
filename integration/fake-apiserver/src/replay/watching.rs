//! Watches: the existing objects, then the events, one JSON object per line,
//! until the client leaves or its time is over.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::object_request::ObjectRequest;
use super::reply::{Answer, json as json_answer};
use super::store::{Change, Event, Store};

/// kube-apiserver ends watches after 30 to 60 minutes.
const LONGEST: Duration = Duration::from_secs(1800);

/// Returns whether the request is one to watch.
pub(super) fn is_asked(of: &ObjectRequest<'_>) -> bool {
    of.asked.watch || matches!(of.query("watch"), Some("1" | "true" | "True"))
}

/// Watches the objects that the request asks for, or only that of `name`.
pub(super) fn answer(of: &ObjectRequest<'_>, name: Option<String>) -> Answer {
    let selected = of.query("fieldSelector").and_then(|text| text.strip_prefix("metadata.name="));
    let seconds = of.query("timeoutSeconds").and_then(|text| text.parse().ok());
    let (pending, revision) = first(of);
    let watching = Watching {
        store: of.peer.store.clone(),
        changes: of.peer.store.subscribe(),
        group: of.asked.group.clone(),
        resource: of.asked.resource.clone(),
        namespace: of.asked.namespace.clone(),
        name: name.or(selected.map(str::to_owned)),
        api_version: of.api_version(),
        kind: of.resource.kind.clone(),
        end: Instant::now() + seconds.map_or(LONGEST, Duration::from_secs),
        pending: VecDeque::new(),
        revision,
    };
    let watching = watching.with(pending, of.query("sendInitialEvents") == Some("true"));
    let lines = stream::unfold(watching, async |mut watching| {
        let line = watching.next().await?;
        Some((Ok::<_, std::convert::Infallible>(line), watching))
    });
    json_answer(StatusCode::OK, Body::from_stream(lines))
}

/// Returns the first events of a watch, and the revision after which it continues.
fn first(of: &ObjectRequest<'_>) -> (Vec<Event>, u64) {
    let revision = of.query("resourceVersion").and_then(|text| text.parse::<u64>().ok());
    let initial = of.query("sendInitialEvents") == Some("true");
    match revision {
        Some(revision) if revision > 0 && !initial => (Vec::new(), revision),
        _ => {
            let (revision, objects) = of.peer.store.list(&of.asked.group, &of.asked.resource, None);
            let events = objects.into_iter().map(|(key, object)| Event {
                revision,
                change: Change::Added,
                key,
                object,
            });
            (events.collect(), revision)
        }
    }
}

struct Watching {
    store: Store,
    changes: watch::Receiver<u64>,
    group: String,
    resource: String,
    namespace: Option<String>,
    name: Option<String>,
    api_version: String,
    kind: String,
    end: Instant,
    pending: VecDeque<String>,
    revision: u64,
}

impl Watching {
    fn with(mut self, events: Vec<Event>, bookmark: bool) -> Self {
        self.take(events);
        if bookmark {
            let object = json!({
                "apiVersion": self.api_version,
                "kind": self.kind,
                "metadata": {
                    "resourceVersion": self.revision.to_string(),
                    "annotations": { "k8s.io/initial-events-end": "true" },
                },
            });
            self.pending.push_back(line("BOOKMARK", &object));
        }
        self
    }

    /// Returns the next line; `None` when the time is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            // Marked as seen before looking, so that no event is missed.
            self.changes.mark_unchanged();
            let events = self.store.events_after(self.revision);
            if events.is_empty() {
                let changed = tokio::time::timeout_at(self.end, self.changes.changed());
                changed.await.ok()?.ok()?;
            }
            self.take(events);
        }
    }

    /// Keeps the events that the client asked for.
    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            self.revision = self.revision.max(event.revision);
            if self.wants(&event) {
                let mut object = event.object;
                if let Some(fields) = object.as_object_mut() {
                    fields.insert("apiVersion".to_owned(), json!(self.api_version));
                    fields.insert("kind".to_owned(), json!(self.kind));
                }
                self.pending.push_back(line(event.change.name(), &object));
            }
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let key = &event.key;
        key.group == self.group
            && key.resource == self.resource
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && self.name.as_ref().is_none_or(|name| *name == key.name)
    }
}

fn line(change: &str, object: &Value) -> String {
    format!("{}\n", json!({ "type": change, "object": object }))
}
