//! The task of one stream: it hears one Envoy and the latest snapshot, and sends what the session
//! says.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status, Streaming};

use super::access::{Access, without_map_status};
use super::connection::Peer;
use super::envoy_version::EnvoyVersion;
use super::envoys::{Chosen, Entry, shortened};
use super::form::{Form, Message};
use super::kind::Kind;
use super::metadata::asked;
use super::metrics::{AdsMetrics, PushOutcome, RefusalReason};
use super::selection::Selection;
use super::session::{Answer, Outcome, Session};
use super::snapshot::Snapshot;
use super::snapshots::Snapshots;
use crate::clock::since_1970;
use crate::config::ClusterPrefix;

#[cfg(test)]
mod tests;

/// The time in which an Envoy must answer a push. One that does not is disconnected, so that nothing
/// is kept for it.
const ANSWER: Duration = Duration::from_secs(30);

/// The time in which it must read what was sent before its stream ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long filter chains that an Envoy refused are left out.
const RETRY: Duration = Duration::from_secs(60);

/// What all streams share.
#[derive(Clone, Debug)]
pub struct Context {
    pub snapshots: Snapshots,
    pub access: Access,
    pub metrics: AdsMetrics,
}

pub struct Stream<F> {
    context: Context,
    peer: Peer,
    entry: Entry,
    sender: mpsc::Sender<Result<Message, Status>>,
    session: Session,
    /// The control planes that the Envoy asks for.
    asked: Selection,
    /// Those that it gets.
    selection: Selection,
    /// Those of the first that it may not have, for which the log has a warning.
    refused: Vec<ClusterPrefix>,
    /// What the Envoy must have.
    target: watch::Receiver<Arc<Snapshot>>,
    /// Whether `target` was replaced, so that the stream must wait for another one.
    retargeted: bool,
    /// When the unanswered push of each type was sent.
    sent: BTreeMap<Kind, Instant>,
    /// When filter chains that the Envoy refused are sent again.
    retry: Option<Instant>,
    introduced: bool,
    form: PhantomData<F>,
}

impl<F: Form> Stream<F> {
    pub fn new(
        context: Context,
        peer: Peer,
        entry: Entry,
        sender: mpsc::Sender<Result<Message, Status>>,
    ) -> Self {
        let mut stream = Self {
            session: Session::new(F::TELLS_ABSENCE),
            asked: Selection::All,
            selection: Selection::All,
            refused: Vec::new(),
            target: context.snapshots.of(&Selection::All),
            retargeted: false,
            sent: BTreeMap::new(),
            retry: None,
            introduced: false,
            form: PhantomData,
            context,
            peer,
            entry,
            sender,
        };
        stream.select();
        stream
    }

    /// Runs until either side ends the stream.
    pub async fn run(mut self, requests: Streaming<F::Request>) {
        self.context.metrics.clients.inc();
        let status = match self.serve(requests).await {
            Ok(()) => Status::ok(""),
            Err(status) => {
                self.log_end(&status);
                status
            }
        };
        // If the queue is full, the Envoy does not read anyway.
        drop(self.sender.try_send(Err(status)));
        self.context.metrics.clients.dec();
        drop(self.entry);
        // What the Envoy does not read, the last words included, must not be kept for it.
        if timeout(LAST_WORDS, self.sender.closed()).await.is_err() {
            self.peer.hang_up();
        }
    }

    fn log_end(&self, status: &Status) {
        let (names, error) = (&self.peer.client.names, status.message());
        if status.code() == Code::ResourceExhausted {
            tracing::warn!(?names, error, "ended a stream of ADS, because it exceeds a limit");
        } else if self.context.access.is_quiet() {
            tracing::debug!(?names, error, "ended a stream of ADS");
        } else {
            tracing::info!(?names, error, "ended a stream of ADS");
        }
    }

    async fn serve(&mut self, mut requests: Streaming<F::Request>) -> Result<(), Status> {
        let sender = self.sender.clone();
        let access = &self.context.access;
        let end = access.clone().end(self.peer.client.clone());
        let end_without_map = access.clone().end_without_map(self.target.clone());
        tokio::pin!(end, end_without_map);
        loop {
            if std::mem::take(&mut self.retargeted) {
                let access = self.context.access.clone();
                end_without_map.set(access.end_without_map(self.target.clone()));
            }
            let wake = self.next_deadline();
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.hear(request)?,
                    Ok(None) => return Ok(()),
                    Err(error) => return unreadable(&error),
                },
                changed = self.target.changed() => {
                    if changed.is_err() { return Ok(()) }
                }
                ended = &mut end => return ended,
                status = &mut end_without_map => return Err(status),
                () = self.context.access.changed() => self.select(),
                () = tokio::time::sleep_until(wake) => self.check_deadlines()?,
                () = sender.closed() => return Ok(()),
            }
            self.send()?;
        }
    }

    fn hear(&mut self, request: F::Request) -> Result<(), Status> {
        if !self.introduced
            && let Some(node) = F::node(&request)
        {
            self.introduced = true;
            self.introduce(node)?;
        }
        self.check_replacing(&request)?;
        let Some(request) = F::read(request, &self.session) else { return Ok(()) };
        let kind = request.kind;
        let answer = self.session.handle(request);
        let answer = answer.map_err(|error| Status::resource_exhausted(error.to_string()))?;
        if let Some(answer) = answer {
            self.note(&answer);
        }
        self.entry.has(kind, &self.session);
        Ok(())
    }

    /// Records who the Envoy says it is, and what it asks for.
    ///
    /// # Errors
    /// The Envoy is too old, or asks for something that cannot be read.
    fn introduce(&mut self, node: &Node) -> Result<(), Status> {
        let version = EnvoyVersion::of(node);
        self.entry.introduce(node, version);
        version.map_or(Ok(()), EnvoyVersion::check).map_err(|too_old| {
            self.context.metrics.refused(RefusalReason::Version);
            Status::failed_precondition(too_old.to_string())
        })?;
        let (id, cluster) = (shortened(&node.id), shortened(&node.cluster));
        let names = &self.peer.client.names;
        if self.context.access.is_quiet() {
            tracing::debug!(node = id, cluster, ?names, "serving an Envoy over ADS");
        } else {
            tracing::info!(node = id, cluster, ?names, "serving an Envoy over ADS");
        }
        let asked = asked(node.metadata.as_ref());
        self.asked = asked.map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        self.select();
        self.check_early()
    }

    /// Checks that the listeners that the Envoy gets are known, as far as any are.
    fn check_early(&self) -> Result<(), Status> {
        let Context { snapshots, access, metrics } = &self.context;
        if !snapshots.is_early() || access.is_ready(&self.target.borrow()) {
            return Ok(());
        }
        metrics.refused(RefusalReason::NoMap);
        Err(without_map_status())
    }

    /// Goes on with the control planes that the Envoy gets now.
    fn select(&mut self) {
        let granted = self.context.access.granted(&self.peer.client);
        let selection = self.asked.and(&granted);
        if selection != self.selection {
            self.target = self.context.snapshots.of(&selection);
            self.selection = selection;
            self.retargeted = true;
        }
        self.warn_of_refused(&granted);
        self.entry.selects((self.selection != Selection::All).then(|| Chosen {
            asked: self.asked.clone(),
            granted,
            latest: self.target.clone(),
        }));
    }

    /// Logs once which control planes the Envoy asks for and may not have.
    fn warn_of_refused(&mut self, granted: &Selection) {
        let names = self.asked.names().filter(|name| !granted.has(name.as_str()));
        let refused: Vec<_> = names.cloned().collect();
        if !refused.is_empty() && refused != self.refused {
            let names = refused.iter().map(ClusterPrefix::as_str).collect::<Vec<_>>();
            let control_planes = shortened(&names.join(", "));
            tracing::warn!(names = ?self.peer.client.names, control_planes, "an Envoy asks for control planes that its certificate may not have");
        }
        self.refused = refused;
    }

    /// Checks that what the Envoy has may be replaced, if it has anything else than this server.
    fn check_replacing(&self, request: &F::Request) -> Result<(), Status> {
        let Context { access, metrics, .. } = &self.context;
        if access.may_replace(&self.asked) || F::is_of(request, &self.target.borrow()) {
            return Ok(());
        }
        metrics.refused(RefusalReason::Unconfirmed);
        Err(access.keep_status())
    }

    fn note(&mut self, answer: &Answer) {
        let Answer { kind, outcome } = answer;
        let sent = self.sent.remove(kind).unwrap_or_else(Instant::now);
        let outcome = match outcome {
            Outcome::Refused { part, reason } => {
                let reason = shortened(reason);
                tracing::error!(names = ?self.peer.client.names, control_plane = part, r#type = kind.as_str(), reason, "an Envoy refused resources: it keeps what it has");
                self.entry.refused(*kind, part, &reason);
                PushOutcome::Refused
            }
            Outcome::Divided => PushOutcome::Divided,
            Outcome::Acknowledged => PushOutcome::Acknowledged,
        };
        self.context.metrics.pushed(*kind, outcome, sent.elapsed());
    }

    /// Sends what the Envoy gets now. It waits for nothing.
    fn send(&mut self) -> Result<(), Status> {
        let target = self.target.borrow_and_update().clone();
        let now = u64::try_from(since_1970().as_micros()).unwrap_or(u64::MAX >> 1);
        let pushes = self.session.next(&target, now).map_err(|error| {
            tracing::error!(%error, "cannot serve an Envoy over ADS");
            Status::internal(error.to_string())
        })?;
        for push in pushes {
            self.sent.insert(push.kind, Instant::now());
            let message = F::message(push, &self.session);
            let full = |_| Status::resource_exhausted("the client does not read");
            self.sender.try_send(Ok(message)).map_err(full)?;
        }
        let retry = self.session.leaves_out();
        self.retry = retry.then(|| self.retry.unwrap_or_else(|| Instant::now() + RETRY));
        Ok(())
    }

    fn next_deadline(&self) -> Instant {
        // Without a push there is nothing to wake up for.
        let answer = self.sent.values().min().copied().unwrap_or_else(Instant::now) + ANSWER;
        self.retry.map_or(answer, |retry| retry.min(answer))
    }

    fn check_deadlines(&mut self) -> Result<(), Status> {
        let now = Instant::now();
        if self.retry.take_if(|retry| *retry <= now).is_some() {
            self.session.retry();
        }
        let late = |(kind, sent): (&Kind, &Instant)| (*sent + ANSWER <= now).then_some(*kind);
        let late: Vec<_> = self.sent.iter().filter_map(late).collect();
        if late.is_empty() {
            return Ok(());
        }
        for kind in late {
            self.context.metrics.pushed(kind, PushOutcome::Unanswered, ANSWER);
        }
        Err(Status::deadline_exceeded("a push was not answered in time"))
    }
}

/// Returns how a stream ends whose next request cannot be read. Mostly, the Envoy went away, in one of
/// many ways.
fn unreadable(error: &Status) -> Result<(), Status> {
    match error.code() {
        Code::OutOfRange => {
            Err(Status::resource_exhausted(format!("a request is too large: {}", error.message())))
        }
        _ => Ok(()),
    }
}
