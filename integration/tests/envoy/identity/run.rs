//! Sends the corpus, many requests at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use wire::capture::CapturedRequest;
use wire::raw::{Answer, Raw};

use super::corpus::{CASE, Case, Sent, Who};

/// How many requests are under way at once: Envoy keeps the connection of a
/// malformed HTTP/2 request for a second.
const AT_ONCE: usize = 64;

/// Until the first answer; a loaded machine gets time.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How long a connection stays open, in case smuggled bytes get an answer.
/// No fault is found by this passing: it only gives one time to happen.
const PATIENCE: Duration = Duration::from_millis(300);

/// The clients by kind.
pub type Clients = BTreeMap<Who, Raw>;

/// The answer to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Answers of these statuses.
    Answered(Vec<u16>),
    /// No connection, or one that was closed, or a stream that was reset.
    Refused,
    /// Nothing: the server waits for more.
    Silence,
}

/// Sends all cases, and waits so long for an answer to each; what became of
/// them, in their order. Fails if a client is missing.
pub async fn send_all(
    cases: &[Case],
    clients: &Clients,
    deadline: Duration,
) -> Result<Vec<Outcome>> {
    let sending = cases.iter().map(|case| async move {
        let client = clients.get(&case.who).context("no such client")?;
        anyhow::Ok(send(&case.sent, client, deadline).await)
    });
    let outcomes: Vec<_> = stream::iter(sending).buffered(AT_ONCE).collect().await;
    outcomes.into_iter().collect()
}

/// Sends on a connection of its own.
pub async fn send(sent: &Sent, client: &Raw, deadline: Duration) -> Outcome {
    match sent {
        Sent::One { bytes, then, answers } => {
            let Ok(mut connection) = client.one().await else { return Outcome::Refused };
            if connection.send(bytes).await.is_err() {
                return Outcome::Refused;
            }
            let waits = then.is_empty() && *answers > 1;
            let limit = if waits { deadline / 10 } else { deadline };
            let mut statuses = connection.statuses(1, limit).await;
            if !then.is_empty() && connection.send(then).await.is_err() {
                return Outcome::Answered(statuses);
            }
            if *answers > 1 {
                statuses = connection.statuses(*answers, PATIENCE).await;
            }
            match (statuses.is_empty(), connection.ended()) {
                (false, _) => Outcome::Answered(statuses),
                (true, true) => Outcome::Refused,
                (true, false) => Outcome::Silence,
            }
        }
        Sent::Two(request) => {
            let Ok(mut connection) = client.two().await else { return Outcome::Refused };
            let Ok(stream) = connection.send(request).await else { return Outcome::Refused };
            match connection.answer(stream, deadline).await {
                Answer::Status(status) => Outcome::Answered(vec![status]),
                Answer::Reset(_) | Answer::Closed => Outcome::Refused,
                Answer::Silence => Outcome::Silence,
            }
        }
    }
}

/// Returns the records by the number of their case; those without one are under `None`.
pub fn by_case(records: Vec<CapturedRequest>) -> BTreeMap<Option<usize>, Vec<CapturedRequest>> {
    let mut by_case: BTreeMap<_, Vec<CapturedRequest>> = BTreeMap::new();
    for record in records {
        let number = record.value(CASE).and_then(|number| std::str::from_utf8(number).ok());
        by_case.entry(number.and_then(|number| number.parse().ok())).or_default().push(record);
    }
    by_case
}
