//! One connection to the companion's endpoint or Envoy's admin interface, over whatever carries bytes. Both
//! are plain HTTP on loopback.

use std::pin::Pin;
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

/// The kubelet tells the cause after it has closed the stream.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);

/// Who answers at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Companion,
    Envoy,
}

/// A connection. Requests are sent one after the other.
pub struct Endpoint {
    sender: SendRequest<Empty<Bytes>>,
    who: Who,
    host: String,
    timeout: Timeout,
    carrier: Option<Carrier>,
}

/// A forwarded port. It ends with this.
pub struct Carrier {
    _forwarder: Portforwarder,
    /// What the kubelet says when the port cannot be reached.
    refusal: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
}

/// A complete answer.
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Companion => "the companion",
            Self::Envoy => "Envoy",
        }
    }

    /// Returns the flag that names its URL, with an example.
    fn flag(self) -> (&'static str, &'static str) {
        match self {
            Self::Companion => ("--companion", "http://127.0.0.1:9902"),
            Self::Envoy => ("--envoy", "http://127.0.0.1:9901"),
        }
    }
}

impl Endpoint {
    /// Connects to the endpoint at a URL.
    ///
    /// # Errors
    /// The URL is not `http://HOST:PORT`, or nobody answers there.
    pub async fn at(url: &Uri, who: Who, timeout: Timeout) -> Result<Self> {
        let plain = url.scheme_str() == Some("http") && matches!(url.path(), "" | "/");
        let authority = url.authority().filter(|_| plain);
        let authority = authority.with_context(|| {
            let (flag, example) = who.flag();
            format!("{flag}: \"{url}\" must be a URL such as {example}")
        })?;
        let host = authority.host().trim_matches(['[', ']']);
        let address = (host, authority.port_u16().unwrap_or(80));
        let stream = within(timeout, TcpStream::connect(address)).await?;
        let stream = stream.with_context(|| format!("cannot reach {} at {url}", who.name()))?;
        Self::over(stream, (who, authority.as_str()), timeout, None).await
    }

    /// Uses a stream to the endpoint. `carrier` is what carries it, if something does.
    pub async fn over(
        stream: impl Stream,
        (who, host): (Who, &str),
        timeout: Timeout,
        carrier: Option<Carrier>,
    ) -> Result<Self> {
        let (sender, connection) = within(timeout, handshake(TokioIo::new(stream))).await??;
        // Its end is seen by the next request.
        tokio::spawn(connection);
        Ok(Self { sender, who, host: host.to_owned(), timeout, carrier })
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
        let answer = within(timeout, answer).await.and_then(|answer| answer);
        let (who, error) = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => (self.who.name(), error),
        };
        let refusal = match &mut self.carrier {
            Some(carrier) => carrier.refusal().await,
            None => None,
        };
        let cause = refusal.map_or(error, anyhow::Error::msg);
        Err(cause.context(format!("no answer to {path} from {who}")))
    }
}

impl Carrier {
    /// Takes the stream of a forwarded port; `None` if it was taken before.
    pub fn of(mut forwarder: Portforwarder, port: u16) -> Option<(impl Stream, Self)> {
        let stream = forwarder.take_stream(port)?;
        let refusal = Box::pin(forwarder.take_error(port)?);
        Some((stream, Self { _forwarder: forwarder, refusal }))
    }

    /// Returns why the port cannot be reached, if the kubelet says so.
    async fn refusal(&mut self) -> Option<String> {
        let said = tokio::time::timeout(REFUSAL_WAIT, &mut self.refusal).await.ok()??;
        Some(said.trim().to_owned())
    }
}

/// Whatever carries bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Waits no longer than the user wants to.
async fn within<T>(Timeout(limit): Timeout, work: impl Future<Output = T>) -> Result<T> {
    let Some(limit) = limit else { return Ok(work.await) };
    ensure!(limit > Duration::ZERO, "a timeout must not be zero");
    let seconds = limit.as_secs_f64();
    let done = tokio::time::timeout(limit, work).await;
    done.with_context(|| format!("no answer within {seconds} s (--request-timeout)"))
}
