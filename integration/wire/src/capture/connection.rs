//! The book that keeps the requests of all connections.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::sync::watch;

use super::request::CapturedRequest;
use crate::client::Client;

/// The header by which a request prescribes its answer: a status (101 goes on
/// as a tunnel that swallows all), `echo` for a tunnel of the protocol asked for
/// that gives all back (HTTP/1.1 only), `stream` for a body that goes on until
/// the client leaves, `late` for a 200 with the length of a body that is read
/// once [`Capture::read_on`] says so, or `slow` for a 403 that takes its time
/// before its headers and before the end of its body (HTTP/1.1 only). Without it
/// the answer is 200.
pub const ANSWER: &str = "x-capture-answer";

/// The part of a capture that all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) poll_token: String,
    pub(super) polls: Client,
    pub(super) reads_on: watch::Sender<bool>,
    pub(super) book: Mutex<Book>,
}

/// All captured requests and open connections.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) requests: Vec<CapturedRequest>,
    connections: u64,
    pub(super) open: Vec<u64>,
}

/// One connection, whose requests go to the book.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    number: u64,
    certificate: Option<Arc<[u8]>>,
    pub(super) shared: Arc<Shared>,
}

impl Shared {
    pub(super) fn book<T>(&self, with: impl FnOnce(&mut Book) -> T) -> T {
        with(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Connection {
    pub(super) fn open(certificate: Option<&[u8]>, shared: &Arc<Shared>) -> Self {
        let number = shared.book(|book| {
            book.connections += 1;
            book.open.push(book.connections);
            book.connections
        });
        Self { number, certificate: certificate.map(Arc::from), shared: Arc::clone(shared) }
    }

    /// Keeps a request. Returns its index.
    pub(super) fn record(&self, mut record: CapturedRequest) -> usize {
        record.connection = self.number;
        record.certificate.clone_from(&self.certificate);
        self.shared.book(|book| {
            book.requests.push(record);
            book.requests.len() - 1
        })
    }

    /// Adds what comes after a request's headers.
    pub(super) fn add(&self, index: usize, add: impl FnOnce(&mut CapturedRequest)) {
        self.shared.book(|book| book.requests.get_mut(index).map(add));
    }

    /// Waits until late bodies are read.
    pub(super) async fn reads_on(&self) -> Result<()> {
        self.shared.reads_on.subscribe().wait_for(|&reads| reads).await?;
        Ok(())
    }

    pub(super) fn is_poll(&self, record: &CapturedRequest) -> bool {
        let token = format!("Bearer {}", self.shared.poll_token);
        record.value("authorization") == Some(token.as_bytes())
    }
}

/// Closes the connection's entry however its task ends.
pub(super) struct Closing(pub(super) Connection);

impl Drop for Closing {
    fn drop(&mut self) {
        let number = self.0.number;
        self.0.shared.book(|book| book.open.retain(|&open| open != number));
    }
}
