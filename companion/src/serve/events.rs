//! `/v1/events`: the last changes as a list, or as a stream of server-sent events (WHATWG HTML, "Server-sent
//! events") to a client that asks for `text/event-stream`.
//!
//! A stream has no queue of its own: it reads the history, which is bounded. A client that reads
//! slowly skips what the history has dropped meanwhile, which the numbers of the events tell. A
//! client that does not read at all loses its connection (`program/endpoint.rs`), and with it its
//! place. None lasts longer than [`LONGEST`]: an `EventSource` then connects again by itself, and
//! names the last event that it has.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::answer::json;
use super::control_planes::ControlPlaneView;
use crate::history::{Entry, Record};

#[cfg(test)]
mod tests;

/// How many streams are served at once.
const MOST_STREAMS: usize = 64;

/// How long a stream lasts.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// The longest silence. Proxies close connections that are silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// The places for streams. Clones share them.
#[derive(Clone, Debug)]
pub struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_STREAMS)))
    }
}

/// From where a client goes on.
#[derive(Debug, Default, Deserialize)]
pub struct After {
    /// The number of the last event that it has.
    after: Option<u64>,
}

/// Answers a request for the changes of a control plane.
pub fn answer(
    view: &ControlPlaneView,
    streams: &Streams,
    headers: &HeaderMap,
    after: &After,
) -> Response {
    // An `EventSource` repeats its URL when it connects again, so that the header is newer.
    let last = last_event_id(headers).or(after.after).unwrap_or_default();
    if !wants_stream(headers) {
        let record = view.history.borrow();
        return json(&record.after(last).map(|entry| &**entry).collect::<Vec<&Entry>>());
    }
    let Ok(place) = Arc::clone(&streams.0).try_acquire_owned() else {
        let headers = [(header::RETRY_AFTER, HeaderValue::from_static("10"))];
        let reason = format!("{MOST_STREAMS} streams of events are open, which is the limit\n");
        return (StatusCode::SERVICE_UNAVAILABLE, headers, reason).into_response();
    };
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    let stream = Sse::new(stream(view.history.clone(), last, place)).keep_alive(keep_alive);
    ([(header::CACHE_CONTROL, "no-store")], stream).into_response()
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = accepts.flat_map(|value| value.split(','));
    ranges.any(|range| {
        let media_type = range.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

/// What a stream needs to go on.
struct Reader {
    record: watch::Receiver<Record>,
    /// The last event that was sent.
    last: u64,
    waiting: VecDeque<Arc<Entry>>,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

fn stream(
    mut record: watch::Receiver<Record>,
    last: u64,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    record.mark_changed();
    let until = Instant::now() + LONGEST;
    let reader = Reader { record, last, waiting: VecDeque::new(), until, _place: place };
    let first = futures_util::stream::iter([Ok(Event::default().retry(RETRY))]);
    let rest = futures_util::stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    futures_util::StreamExt::chain(first, rest)
}

impl Reader {
    /// Waits for the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                self.last = entry.id;
                let event = Event::default().id(entry.id.to_string()).json_data(&*entry);
                return event.ok();
            }
            tokio::select! {
                changed = self.record.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.until) => return None,
            }
            self.waiting = self.record.borrow_and_update().after(self.last).cloned().collect();
        }
    }
}
