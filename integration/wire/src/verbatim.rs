//! A client that sends paths unchanged. Ordinary clients remove dot segments,
//! which the tests need.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::{Body, to_bytes};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use pki::tls;
use rustls::ClientConfig;

use crate::client::Answer;

/// No request of a test takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A client of a TLS server, over HTTP/1.1 and with one connection per request.
#[derive(Debug, Clone)]
pub struct VerbatimClient {
    port: u16,
    tls: Arc<ClientConfig>,
}

impl VerbatimClient {
    /// Returns a client of the server on 127.0.0.1:`port`, whose certificate
    /// `ca_pem` signed. Fails if the CA certificate cannot be read.
    pub fn new(port: u16, ca_pem: &str) -> Result<Self> {
        Ok(Self { port, tls: Arc::new(tls::client(ca_pem, None, &["http/1.1"])?) })
    }

    /// Sends a request of `method` for `path` with these headers; `Host` is
    /// added, and `Content-Length` with a body. Fails if there is no complete
    /// answer within 30 seconds.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &'static [u8],
    ) -> Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let exchange = self.exchange(request.body(Body::from(body))?);
        let answer = tokio::time::timeout(TIME_LIMIT, exchange).await;
        answer.context("no answer in time")?.with_context(|| format!("{method} {path}"))
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Answer> {
        let stream = tls::connect(self.port, &self.tls).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await?.to_vec();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}
