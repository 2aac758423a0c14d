//! The companion's HTTP endpoint, on loopback only.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use discovery_map::MapDocument;
use prometheus_client::encoding::text;
use serde::Serialize;
use tokio::sync::watch;

use crate::ads::Envoys;
use crate::facts::PeerStatus;
use crate::metrics::Registry;
use crate::publish::Outcome;
use crate::sources::SourceStatus;

#[derive(Clone)]
pub struct Views {
    pub outcomes: watch::Receiver<Outcome>,
    pub peers: watch::Receiver<Vec<PeerStatus>>,
    pub source: watch::Receiver<Option<SourceStatus>>,
    pub envoys: Envoys,
    pub registry: Arc<Registry>,
}

pub fn router(views: Views) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/map", get(map))
        .route("/v1/peers", get(peers))
        .route("/v1/sources", get(sources))
        .route("/v1/envoys", get(envoys))
        .with_state(views)
}

async fn readyz(State(views): State<Views>) -> Response {
    let outcome = views.outcomes.borrow();
    match (&outcome.publication, &outcome.error) {
        (Some(_), None) => "ok\n".into_response(),
        (_, Some(error)) => unavailable(&format!("cannot publish: {error}\n")),
        (None, None) => unavailable("nothing published yet\n"),
    }
}

async fn metrics(State(views): State<Views>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    match text::encode(&mut text, &views.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn map(State(views): State<Views>) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Published<'p> {
        generation: u64,
        pushed_at_unix_seconds: u64,
        map: &'p MapDocument,
    }

    let publication = views.outcomes.borrow().publication.clone();
    let Some(publication) = publication else { return unavailable("nothing published yet\n") };
    json(&Published {
        generation: publication.map.generation,
        pushed_at_unix_seconds: publication.at.as_secs(),
        map: &publication.map,
    })
}

async fn peers(State(views): State<Views>) -> Response {
    let peers = views.peers.borrow().clone();
    json(&peers)
}

async fn sources(State(views): State<Views>) -> Response {
    let source = views.source.borrow().clone();
    json(&Vec::from_iter(source))
}

async fn envoys(State(views): State<Views>) -> Response {
    json(&views.envoys.view())
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn unavailable(reason: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, reason.to_owned()).into_response()
}
