//! Replies in JSON, and what a request accepts.

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response, StatusCode};

/// The answer to a request.
pub(super) type Answer = Response<Body>;

/// JSON, with the headers that objects have.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Returns the `Accept` header as one text.
pub(super) fn accept_of(request: &Request<Body>) -> String {
    let values = request.headers().get_all(ACCEPT);
    let values: Vec<_> = values.iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
