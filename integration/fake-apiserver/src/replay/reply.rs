//! Replies in JSON and in plain text, and what a request accepts.

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;

/// The answer to a request.
pub(super) type Answer = Response<Body>;

/// JSON, with the headers that objects have.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Answer {
    let headers = [(CACHE_CONTROL, "no-cache, private"), (CONTENT_TYPE, "application/json")];
    (status, headers, body.into()).into_response()
}

/// Plain text.
pub(super) fn text(status: StatusCode, body: impl Into<Body>) -> Answer {
    let headers = [
        (CACHE_CONTROL, "no-cache, private"),
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body.into()).into_response()
}

/// Returns the 404 of a path that no handler is registered for: a group that the
/// server does not know, or anything unknown in a custom resource's group.
pub(super) fn page_not_found() -> Answer {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Returns the `Accept` header as one text.
pub(super) fn accept_of(request: &Request<Body>) -> String {
    let values = request.headers().get_all(ACCEPT);
    let values: Vec<_> = values.iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
