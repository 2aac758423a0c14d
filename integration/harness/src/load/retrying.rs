//! A client with the retries of client-go, which every controller and kubectl
//! have.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use wire::client::{Answer, Client};

use super::journal::{End, Operation};

/// client-go's number of retries.
const RETRIES: u32 = 10;

/// client-go's delay after a broken connection.
const AFTER_BREAK: Duration = Duration::from_secs(1);

/// Retries as client-go does: a 429 or 5xx with `Retry-After` after that time,
/// whatever the method, because nothing was done; a broken connection
/// only for GET; nothing else.
#[derive(Debug, Clone)]
pub struct Retrying {
    client: Client,
}

impl Retrying {
    /// `client` with retries.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Sends a request until it has its final answer, if it gets one.
    pub async fn run(
        &self,
        label: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (Operation, Option<Answer>) {
        let started = Instant::now();
        let mut attempts = 0;
        let (end, answer) = loop {
            attempts += 1;
            let (end, answer) = self.once(&method, path, body).await;
            match delay(&method, &end, answer.as_ref()) {
                Some(delay) if attempts <= RETRIES => tokio::time::sleep(delay).await,
                _ => break (end, answer),
            }
        };
        let (path, ended) = (path.to_owned(), Instant::now());
        (Operation { label, method, path, started, ended, attempts, end }, answer)
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> (End, Option<Answer>) {
        let mut request = self.client.request(method.clone(), path);
        if let Some(body) = body {
            let kind = if *method == Method::PATCH { "merge-patch+json" } else { "json" };
            request = request
                .header("content-type", format!("application/{kind}"))
                .body(body.to_string());
        }
        let answer = self.client.send(request).await;
        (End::of(&answer), answer.ok())
    }
}

/// Returns how long to wait before the next attempt; `None` when there is none.
fn delay(method: &Method, end: &End, answer: Option<&Answer>) -> Option<Duration> {
    match end {
        End::Broken(_) => (*method == Method::GET).then_some(AFTER_BREAK),
        End::Answered { status: 429 | 500..=599, retry_after: true, .. } => {
            let seconds = answer?.header("retry-after")?.parse().ok()?;
            Some(Duration::from_secs(seconds))
        }
        End::Answered { .. } => None,
    }
}
