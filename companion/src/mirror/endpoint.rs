//! The mirror's HTTP endpoint, on loopback only.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::status::Status;
use crate::ads::Envoys;
use crate::metrics::{Registry, exposition};
use crate::serve::json;

#[derive(Clone)]
pub struct Views {
    pub status: watch::Receiver<Status>,
    pub envoys: Envoys,
    pub registry: Arc<Registry>,
}

pub fn router(views: Views) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/mirror", get(mirror))
        .route("/v1/envoys", get(envoys))
        .with_state(views)
}

async fn readyz(State(views): State<Views>) -> Response {
    match views.status.borrow().confirmed {
        Some(_) => "ok\n".into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "has nothing yet: no companion has answered\n")
            .into_response(),
    }
}

async fn metrics(State(views): State<Views>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match exposition([&*views.registry]) {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn mirror(State(views): State<Views>) -> Response {
    let view = views.status.borrow().view();
    json(&view)
}

async fn envoys(State(views): State<Views>) -> Response {
    json(&views.envoys.view())
}
