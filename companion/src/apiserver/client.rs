//! The HTTPS client for one API server. It bounds the time and the size of each answer.
//!
//! It speaks HTTP/1.1 on purpose: the companion sends one request at a time, and
//! drops the connection after a time-out, with whatever was stuck in it.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::body::Body;
use super::budget::Budget;
use crate::causes::causes;
use crate::config::{Peer, Polling, ServerName};

/// Envoys of control-plane nodes send this header to API servers, and refuse a request that has it.
/// So a peer whose address is such an Envoy's, and not its pass-through port, is never in rotation.
const PASSED: HeaderName = HeaderName::from_static("x-mixed-version-proxy-passed");

type Cause = Box<dyn Error + Send + Sync>;

/// Why there is no answer, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The answer was not complete in time. The next attempt may succeed.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The connection could not be made, or broke. The next attempt may succeed.
    #[error("{}", causes(&**.0))]
    Transport(#[source] Cause),
    /// The status is not one that helps.
    #[error("{path} answered {status}")]
    Status { path: String, status: StatusCode },
    /// The answer's body does not parse.
    #[error("{path} {problem}")]
    Body { path: String, problem: String },
    /// The answer, alone or with those before it, has more than is read of a peer.
    #[error("{path} answered {problem}")]
    Limit { path: String, problem: String },
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time until it is complete.
    pub timeout: Duration,
    /// The size of its body in bytes.
    pub bytes: u64,
}

/// A connection to one API server with certain credentials; clones share it.
#[derive(Clone)]
pub struct ApiServerClient {
    http: reqwest::Client,
    base: String,
    limits: Limits,
    /// What all answers may have together. If there is none, each has `limits.bytes`.
    budget: Option<Budget>,
}

/// An answer whose head has arrived.
pub struct Answer {
    pub status: StatusCode,
    pub etag: Option<HeaderValue>,
    response: Response,
    path: String,
    limits: Limits,
    budget: Budget,
    /// Whether other answers have the same budget.
    shares: bool,
}

impl From<&Polling> for Limits {
    fn from(polling: &Polling) -> Self {
        Self { timeout: polling.timeout, bytes: polling.max_response_bytes }
    }
}

impl ApiServerClient {
    pub(super) fn new(
        peer: &Peer,
        server_name: &ServerName,
        limits: Limits,
        tls: ClientConfig,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, reqwest::Error> {
        let token = authorization.map(|token| (AUTHORIZATION, token));
        let passed = (PASSED, HeaderValue::from_static("1"));
        let headers = token.into_iter().chain([passed]).collect();
        // The URL has the name that is verified; the address is set next to it.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .resolve(server_name.as_str(), peer.address)
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .pool_max_idle_per_host(1)
            .timeout(limits.timeout)
            .user_agent(concat!("mixed-version-companion/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let base = format!("https://{server_name}:{}", peer.address.port());
        Ok(Self { http, base, limits, budget: None })
    }

    /// Returns a client whose answers share the budget.
    pub fn within(&self, budget: Budget) -> Self {
        Self { budget: Some(budget), ..self.clone() }
    }

    /// Returns a client that reads no more than this many bytes of an answer.
    pub(super) fn at_most(&self, bytes: u64) -> Self {
        let limits = Limits { bytes: self.limits.bytes.min(bytes), ..self.limits };
        Self { limits, budget: None, ..self.clone() }
    }

    /// Returns a budget as large as that of one answer.
    pub fn budget(&self) -> Budget {
        Budget::new(self.limits.bytes)
    }

    /// Sends a GET request. An answer with any status is an answer.
    pub async fn get(
        &self,
        path: &str,
        accept: &'static str,
        if_none_match: Option<&HeaderValue>,
    ) -> Result<Answer, FetchError> {
        let mut request = self.http.get(format!("{}{path}", self.base)).header(ACCEPT, accept);
        if let Some(etag) = if_none_match {
            request = request.header(IF_NONE_MATCH, etag);
        }
        self.answer(path, request).await
    }

    /// Sends a request that writes, with a body as JSON. An answer with any status is an answer. If
    /// there is none, it may have been written.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: &impl Serialize,
    ) -> Result<Answer, FetchError> {
        let json = serde_json::to_vec(body).map_err(|error| FetchError::Transport(error.into()))?;
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, content_type);
        self.answer(path, request.body(json)).await
    }

    async fn answer(&self, path: &str, request: RequestBuilder) -> Result<Answer, FetchError> {
        let response = request.send().await.map_err(|error| FetchError::of(error, self.limits))?;
        Ok(Answer {
            status: response.status(),
            etag: response.headers().get(ETAG).cloned(),
            response,
            path: path.to_owned(),
            limits: self.limits,
            budget: self.budget.clone().unwrap_or_else(|| self.budget()),
            shares: self.budget.is_some(),
        })
    }
}

impl Answer {
    /// Returns the error for a status that does not help.
    pub fn unexpected(&self) -> FetchError {
        FetchError::Status { path: self.path.clone(), status: self.status }
    }

    /// Returns the answer if its status is 200.
    pub fn ok(self) -> Result<Self, FetchError> {
        if self.status == StatusCode::OK { Ok(self) } else { Err(self.unexpected()) }
    }

    /// Reads the body to its end, so that the connection can be reused.
    pub async fn drain(mut self) -> Result<(), FetchError> {
        while self.chunk().await?.is_some() {}
        Ok(())
    }

    /// Reads the whole body.
    pub async fn bytes(mut self) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Parses the body. It arrives first: a thread that parses waits for no peer, because all peers
    /// share few threads.
    pub async fn json<T>(mut self) -> Result<T, FetchError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut body = Body::default();
        while let Some(chunk) = self.chunk().await? {
            body.push(&chunk);
        }
        let parser = tokio::task::spawn_blocking(move || serde_json::from_reader(body));
        let parsed = parser.await.map_err(Cause::from).and_then(|value| Ok(value?));
        parsed.map_err(|error| FetchError::Body {
            path: self.path,
            problem: format!("returned an unreadable body: {error}"),
        })
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let chunk = self.response.chunk().await;
        let chunk = chunk.map_err(|error| FetchError::of(error, self.limits))?;
        let size = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.budget.take(size).map_err(|exceeded| {
            let with = if self.shares { " with the answers before it" } else { "" };
            FetchError::limit(&self.path, format!("{exceeded}{with}"))
        })?;
        Ok(chunk)
    }
}

impl FetchError {
    /// Returns the error for an answer with more than `problem` permits.
    pub fn limit(path: &str, problem: impl ToString) -> Self {
        Self::Limit { path: path.to_owned(), problem: problem.to_string() }
    }

    fn of(error: reqwest::Error, limits: Limits) -> Self {
        if error.is_timeout() {
            Self::Timeout(limits.timeout)
        } else {
            Self::Transport(error.into())
        }
    }
}
