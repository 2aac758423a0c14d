//! A request, before it has an answer.

use reqwest::Method;
use wire::client::Client;

/// A request, before it has an answer.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    pub path: String,
    accept: Option<&'static str>,
    body: Option<serde_json::Value>,
}

impl Request {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), accept: None, body: None }
    }

    pub fn body(mut self, body: serde_json::Value) -> Self {
        self.body = Some(body);
        self
    }

    pub fn accept(mut self, accept: Option<&'static str>) -> Self {
        self.accept = accept;
        self
    }

    pub fn to(&self, client: &Client) -> reqwest::RequestBuilder {
        let mut request = client.request(self.method.clone(), &self.path);
        if let Some(accept) = self.accept {
            request = request.header("accept", accept);
        }
        if let Some(body) = &self.body {
            let merge = self.method == Method::PATCH;
            let kind = if merge { "application/merge-patch+json" } else { "application/json" };
            request = request.header("content-type", kind).body(body.to_string());
        }
        request
    }
}
