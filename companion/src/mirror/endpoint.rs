//! The mirror's HTTP endpoint, on loopback only, and what of it may be read from other hosts.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::status::Status;
use crate::ads::Envoys;
use crate::metrics::Registry;
use crate::serve::answer::{self, json, unavailable};

#[derive(Clone)]
pub struct Views {
    pub status: watch::Receiver<Status>,
    pub envoys: Envoys,
    pub registry: Arc<Registry>,
}

/// What kubelets and Prometheus read.
pub fn metrics_router(views: Views) -> Router {
    health().with_state(views)
}

fn health() -> Router<Views> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

pub fn router(views: Views) -> Router {
    health().route("/v1/mirror", get(mirror)).route("/v1/envoys", get(envoys)).with_state(views)
}

async fn readyz(State(views): State<Views>) -> Response {
    match views.status.borrow().confirmed {
        Some(_) => "ok\n".into_response(),
        None => unavailable("has nothing yet: no companion has answered\n"),
    }
}

async fn metrics(State(views): State<Views>) -> Response {
    answer::metrics([&*views.registry])
}

async fn mirror(State(views): State<Views>) -> Response {
    let view = views.status.borrow().view();
    json(&view)
}

async fn envoys(State(views): State<Views>) -> Response {
    json(&views.envoys.view())
}
