//! One connection to the companion's endpoint, over whatever carries bytes. The endpoint is plain
//! HTTP on loopback.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::header::HOST;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::args::Timeout;

/// A map of 5,000 types with all documents has some megabytes.
const LARGEST: usize = 64 * 1024 * 1024;

/// A connection. Requests are sent one after the other.
pub struct Endpoint {
    sender: SendRequest<Empty<Bytes>>,
    host: String,
    timeout: Timeout,
    /// Ends with the connection.
    _forwarder: Option<Portforwarder>,
}

/// A complete answer.
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Endpoint {
    /// Connects to the endpoint at a URL.
    ///
    /// # Errors
    /// The URL is not `http://HOST:PORT`, or nobody answers there.
    pub async fn at(url: &Uri, timeout: Timeout) -> Result<Self> {
        let plain = url.scheme_str() == Some("http") && matches!(url.path(), "" | "/");
        let authority = url.authority().filter(|_| plain);
        let authority = authority.with_context(|| {
            format!("--companion: \"{url}\" must be a URL such as http://127.0.0.1:9902")
        })?;
        let host = authority.host().trim_matches(['[', ']']);
        let address = (host, authority.port_u16().unwrap_or(80));
        let stream = within(timeout, TcpStream::connect(address)).await?;
        let stream = stream.with_context(|| format!("cannot reach the companion at {url}"))?;
        Self::over(stream, authority.as_str(), timeout, None).await
    }

    /// Uses a stream to the endpoint. `forwarder` is what carries it, if something does.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        host: &str,
        timeout: Timeout,
        forwarder: Option<Portforwarder>,
    ) -> Result<Self> {
        let (sender, connection) = within(timeout, handshake(TokioIo::new(stream))).await??;
        // Its end is seen by the next request.
        tokio::spawn(connection);
        Ok(Self { sender, host: host.to_owned(), timeout, _forwarder: forwarder })
    }

    /// Sends a GET request. An answer with any status is an answer.
    ///
    /// # Errors
    /// The answer is not complete in time, or larger than 64 MiB.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        let request = Request::get(path).header(HOST, &self.host).body(Empty::new())?;
        let timeout = self.timeout;
        let answer = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error))?;
            anyhow::Ok(Answer { status, body: body.to_bytes() })
        };
        let answer = within(timeout, answer).await?;
        answer.with_context(|| format!("no answer to {path} from the companion"))
    }
}

/// Waits no longer than the user wants to.
async fn within<T>(Timeout(limit): Timeout, work: impl Future<Output = T>) -> Result<T> {
    let Some(limit) = limit else { return Ok(work.await) };
    ensure!(limit > Duration::ZERO, "a timeout must not be zero");
    let seconds = limit.as_secs_f64();
    let done = tokio::time::timeout(limit, work).await;
    done.with_context(|| format!("no answer within {seconds} s (--request-timeout)"))
}
