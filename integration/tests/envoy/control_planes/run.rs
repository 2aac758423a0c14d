//! Sends the corpus and reads what comes back.

use std::time::Duration;

use anyhow::Result;
use futures_util::{StreamExt, stream};
use wire::raw::{Answer, Raw};

use super::corpus::{Case, Sent};

const AT_ONCE: usize = 32;

/// Until the first answer; a loaded machine gets time.
const LIMIT: Duration = Duration::from_secs(20);

/// How long an answer that does not end is read.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a client got.
#[derive(Debug, Clone, Default)]
pub struct Got {
    /// The status of the first answer, if there was one.
    pub status: Option<u16>,
    /// Every byte of it over HTTP/1.1, the body over HTTP/2.
    pub bytes: Vec<u8>,
}

/// Sends each case on a connection of its own; what came of them, in their order.
pub async fn send_all(cases: &[Case], client: &Raw) -> Vec<Got> {
    let sending = cases.iter().map(|case| send(&case.sent, client));
    stream::iter(sending).buffered(AT_ONCE).map(Result::unwrap_or_default).collect().await
}

async fn send(sent: &Sent, client: &Raw) -> Result<Got> {
    match sent {
        Sent::One(bytes) => {
            let mut connection = client.one().await?;
            connection.send(bytes).await?;
            let statuses = connection.statuses(1, LIMIT).await;
            // Until it ends: there is no second answer.
            connection.statuses(2, PATIENCE).await;
            let bytes = connection.received().to_vec();
            Ok(Got { status: statuses.first().copied(), bytes })
        }
        Sent::Two(request) => {
            let mut connection = client.two().await?;
            let stream = connection.send(request).await?;
            let status = match connection.answer(stream, LIMIT).await {
                Answer::Status(status) => Some(status),
                _ => return Ok(Got::default()),
            };
            let mut bytes = Vec::new();
            while let Some(data) = connection.data(stream, PATIENCE).await {
                bytes.extend(data);
            }
            Ok(Got { status, bytes })
        }
    }
}
