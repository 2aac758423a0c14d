//! A small HTTPS client for tests: the test's CA, a bearer token or none, and
//! a choice of HTTP version.
//!
//! It retries nothing and follows no redirect, so that every answer is seen.
//! Paths are normalized the way the `url` crate does it; use
//! [`crate::verbatim`] or [`crate::raw`] where each byte matters.

use std::net::SocketAddr;
use std::time::Duration;
use std::{future, iter};

use anyhow::{Context, Result};
use pki::CertificateFiles;
use pki::tls;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, StatusCode, redirect};
use rustls::ClientConfig;
use serde_json::Value;

use crate::CONNECT_LIMIT;

/// The HTTP version that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2, as client-go does.
    #[default]
    Two,
}

/// How to reach a server.
#[derive(Debug, Clone, Default)]
pub struct ClientOptions {
    /// The server's address, such as `https://127.0.0.1:6443`.
    pub url: String,
    /// The authority that signed its certificate.
    pub ca_pem: String,
    /// The bearer token to send.
    pub token: Option<String>,
    /// The client certificate to present.
    pub certificate: Option<CertificateFiles>,
    /// The HTTP version.
    pub http: Http,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads a whole answer. Fails if it breaks off.
    pub async fn read(response: Response) -> Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Self { status, headers, body })
    }

    /// Returns the first header of this name, if it is a string.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as JSON. Fails if it is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// Returns the body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails unless the status is a success, showing the body. Fails if the
    /// status is not a success.
    pub fn ok(self) -> Result<Self> {
        anyhow::ensure!(self.status.is_success(), "{}: {}", self.status, self.text());
        Ok(self)
    }

    /// Returns whether this is the 404 of a server that does not know the *type*, as
    /// opposed to one that has no such object.
    pub fn is_type_level_404(&self) -> bool {
        if self.status != StatusCode::NOT_FOUND {
            return false;
        }
        let Ok(body) = self.json() else {
            return self.body == b"404 page not found\n";
        };
        let details = body.get("details").and_then(Value::as_object);
        details.is_none_or(|details| !details.contains_key("name"))
            && body.get("message").and_then(Value::as_str)
                == Some("the server could not find the requested resource")
    }
}

/// The client.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    /// Returns a client that connects when it is first used, and pools
    /// connections. Fails if the CA or the token cannot be used.
    pub fn new(options: &ClientOptions) -> Result<Self> {
        let protocol = match options.http {
            Http::One => "http/1.1",
            Http::Two => "h2",
        };
        let tls = tls::client(&options.ca_pem, options.certificate.as_ref(), &[protocol])?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &options.token {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}"))?);
        }
        let builder = builder(tls).default_headers(headers).connect_timeout(CONNECT_LIMIT);
        Ok(Self { url: options.url.trim_end_matches('/').to_owned(), http: builder.build()? })
    }

    /// Returns a client of the server without TLS on 127.0.0.1:`port`. It keeps
    /// no connection, so a server that was restarted answers the next request.
    /// Fails if the client cannot be made.
    pub fn plain(port: u16) -> Result<Self> {
        let builder = builder(tls::client("", None, &[])?).pool_max_idle_per_host(0);
        Ok(Self { url: format!("http://127.0.0.1:{port}"), http: builder.build()? })
    }

    /// Returns a request to build on; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).timeout(Duration::from_secs(30))
    }

    /// Sends what was built and reads the whole answer. Fails if there is no
    /// complete answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        Answer::read(request.send().await?).await
    }

    /// Sends a request with these headers. Fails if there is no complete answer.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let request = self.request(method, path);
        self.send(headers.iter().fold(request, |r, (name, value)| r.header(*name, *value))).await
    }

    /// GET. Fails if there is no complete answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of a JSON object. Fails if there is no complete answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.with_json(Method::POST, path, body)?).await
    }

    /// PUT of a JSON object. Fails if there is no complete answer.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(self.with_json(Method::PUT, path, body)?).await
    }

    /// DELETE. Fails if there is no complete answer.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// GET of something that goes on for long, such as a watch: the answer is
    /// the caller's to read, and no time limit applies. Fails if there is no
    /// answer.
    pub async fn stream(&self, path: &str) -> Result<Response> {
        Ok(self.http.get(format!("{}{path}", self.url)).send().await?)
    }

    fn with_json(&self, method: Method, path: &str, body: &Value) -> Result<RequestBuilder> {
        let body = serde_json::to_vec(body)?;
        Ok(self.request(method, path).header("content-type", "application/json").body(body))
    }
}

/// Every name is one of this machine: no test reaches another.
#[derive(Debug)]
struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(iter::once(SocketAddr::from(([127, 0, 0, 1], 0))));
        Box::pin(future::ready(Ok(addresses)))
    }
}

fn builder(tls: ClientConfig) -> ClientBuilder {
    reqwest::Client::builder()
        .dns_resolver(Loopback)
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
}
