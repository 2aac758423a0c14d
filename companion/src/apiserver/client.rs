//! Asking one peer over HTTPS, within bounds.
//!
//! HTTP/1.1 on purpose: the companion asks one thing at a time, and after a
//! time-out the connection is given up with whatever was stuck in it.

use std::error::Error as _;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::credentials::{Identity, IdentityError};
use crate::config::{Peer, Polling, ServerName};

/// Why there is no answer, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No complete answer in time. It may come the next time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Transport(String),
    /// An answer with a status that does not help.
    #[error("{path} answered {status}")]
    Status {
        /// What was asked.
        path: String,
        /// The answer's status.
        status: StatusCode,
    },
    /// The answer is larger than configured.
    #[error("{path} answered more than {limit} bytes")]
    TooLarge {
        /// What was asked.
        path: String,
        /// The bound.
        limit: u64,
    },
    /// The answer is not what was asked for.
    #[error("{path} answered something unreadable: {problem}")]
    Malformed {
        /// What was asked.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// A connection to one peer, as one identity; clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    timeout: Duration,
    limit: u64,
}

/// An answer whose head is there.
pub(crate) struct Answer {
    /// The answer's own `ETag`.
    pub etag: Option<HeaderValue>,
    response: Response,
    path: String,
    limit: u64,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(
        peer: &Peer,
        server_name: &ServerName,
        polling: &Polling,
        identity: &Identity,
    ) -> Result<Self, IdentityError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = identity.authorization()? {
            headers.insert(AUTHORIZATION, token);
        }
        // The URL has the name that is verified; the address stands beside it.
        let address: SocketAddr = peer.address;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(identity.tls()?)
            .resolve(server_name.as_str(), address)
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(1)
            .timeout(polling.timeout)
            .user_agent(concat!("mixed-version-companion/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(IdentityError::Client)?;
        Ok(Self {
            http,
            base: format!("https://{server_name}:{}", address.port()),
            timeout: polling.timeout,
            limit: polling.max_response_bytes,
        })
    }

    /// Asks; an answer with any status is an answer.
    pub(crate) async fn get(
        &self,
        path: &str,
        accept: &'static str,
        if_none_match: Option<&HeaderValue>,
    ) -> Result<(StatusCode, Answer), FetchError> {
        let mut request = self
            .http
            .get(format!("{}{path}", self.base))
            .header(ACCEPT, HeaderValue::from_static(accept));
        if let Some(etag) = if_none_match {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response =
            request.send().await.map_err(|error| FetchError::from_reqwest(&error, self.timeout))?;
        let answer = Answer {
            etag: response.headers().get(ETAG).cloned(),
            response,
            path: path.to_owned(),
            limit: self.limit,
            timeout: self.timeout,
        };
        Ok((answer.response.status(), answer))
    }
}

impl Answer {
    /// The error that an unhelpful status is.
    pub(crate) fn unexpected(&self) -> FetchError {
        FetchError::Status { path: self.path.clone(), status: self.response.status() }
    }

    /// Reads the body to its end, so that the connection can be used again.
    pub(crate) async fn drain(mut self) -> Result<(), FetchError> {
        let mut rest = self.limit;
        while self.chunk(&mut rest).await?.is_some() {}
        Ok(())
    }

    /// Parses the body while it arrives: it is never in memory as a whole.
    pub(crate) async fn json<T>(mut self) -> Result<T, FetchError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(4);
        let parser = tokio::task::spawn_blocking(move || {
            let mut reader = ChunkReader { receiver, current: Bytes::new() };
            let value = serde_json::from_reader(&mut reader);
            // The sender must be able to finish even if the parser could not.
            reader.receiver.close();
            value
        });
        let mut rest = self.limit;
        while let Some(chunk) = self.chunk(&mut rest).await? {
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
        drop(sender);
        let malformed = |problem| FetchError::Malformed { path: self.path, problem };
        match parser.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(malformed(error.to_string())),
            Err(error) => Err(malformed(error.to_string())),
        }
    }

    async fn chunk(&mut self, rest: &mut u64) -> Result<Option<Bytes>, FetchError> {
        let chunk = self.response.chunk().await;
        let chunk = chunk.map_err(|error| FetchError::from_reqwest(&error, self.timeout))?;
        let size = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        *rest = rest
            .checked_sub(size)
            .ok_or_else(|| FetchError::TooLarge { path: self.path.clone(), limit: self.limit })?;
        Ok(chunk)
    }
}

impl FetchError {
    fn from_reqwest(error: &reqwest::Error, timeout: Duration) -> Self {
        if error.is_timeout() {
            return Self::Timeout(timeout);
        }
        // reqwest says where it failed, its sources say why.
        let mut text = String::new();
        let mut source = error.source();
        while let Some(error) = source {
            let part = error.to_string();
            if !text.contains(&part) {
                text = if text.is_empty() { part } else { format!("{text}: {part}") };
            }
            source = error.source();
        }
        Self::Transport(if text.is_empty() { error.to_string() } else { text })
    }
}

/// A channel of chunks as a reader, for the blocking parser.
struct ChunkReader {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let size = buffer.len().min(self.current.len());
        let taken = self.current.split_to(size);
        for (to, from) in buffer.iter_mut().zip(&taken) {
            *to = *from;
        }
        Ok(size)
    }
}
