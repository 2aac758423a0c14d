//! The companion's HTTP endpoint, on loopback only, and what of it may be read from other hosts.

pub mod answer;
mod control_planes;
mod events;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use discovery_map::MapDocument;
use serde::Serialize;
use tokio::sync::watch;

use crate::ads::Envoys;
use crate::metrics::Registry;

use answer::{json, not_found, unavailable};
pub use control_planes::{ControlPlaneState, ControlPlaneView, ControlPlanes};
use events::After;
pub use events::Streams;

#[derive(Clone)]
pub struct Views {
    pub control_planes: ControlPlanes,
    /// The name of the only control plane. `None` if there can be many.
    pub only: Option<String>,
    /// Whether the listener of many control planes was published.
    pub ready: watch::Receiver<bool>,
    pub envoys: Envoys,
    /// The streams of events that are open.
    pub streams: Streams,
    pub registry: Arc<Registry>,
}

/// What kubelets and Prometheus read. It lists no type of the cluster.
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
    health()
        .route("/", get(status_page))
        .route("/control-planes/{name}", get(status_page_of_one))
        .route("/v1/map", get(async |State(views): State<Views>| of_only(&views, map)))
        .route("/v1/peers", get(async |State(views): State<Views>| of_only(&views, peers)))
        .route("/v1/sources", get(async |State(views): State<Views>| of_only(&views, sources)))
        .route("/v1/events", get(events))
        .route("/v1/control-planes", get(control_planes))
        .route("/v1/control-planes/{name}/map", get(async |at: At| of_one(at, map)))
        .route("/v1/control-planes/{name}/peers", get(async |at: At| of_one(at, peers)))
        .route("/v1/control-planes/{name}/sources", get(async |at: At| of_one(at, sources)))
        .route("/v1/control-planes/{name}/events", get(events_of_one))
        .route("/v1/envoys", get(envoys))
        .with_state(views)
}

/// The control plane that a path names.
type At = (State<Views>, Path<String>);

impl Views {
    /// Returns what the only control plane shows; `None` if there can be many.
    fn only(&self) -> Option<ControlPlaneView> {
        self.only.as_ref().and_then(|name| self.control_planes.view(name))
    }
}

fn of_only(views: &Views, show: impl Fn(&ControlPlaneView) -> Response) -> Response {
    let elsewhere = "there can be many control planes: see /v1/control-planes\n";
    views.only().map_or_else(|| not_found(elsewhere), |view| show(&view))
}

fn of_one(
    (State(views), Path(name)): At,
    show: impl Fn(&ControlPlaneView) -> Response,
) -> Response {
    let unknown = "no such control plane runs: see /v1/control-planes\n";
    views.control_planes.view(&name).map_or_else(|| not_found(unknown), |view| show(&view))
}

async fn readyz(State(views): State<Views>) -> Response {
    let Some(only) = views.only() else {
        let ready = *views.ready.borrow();
        let waits = "no control plane exists yet, or some control planes are still waiting for their first map\n";
        return if ready { "ok\n".into_response() } else { unavailable(waits) };
    };
    let outcome = only.outcomes.borrow();
    match (&outcome.publication, &outcome.error) {
        (Some(_), None) => "ok\n".into_response(),
        (_, Some(error)) => unavailable(&format!("cannot publish: {error}\n")),
        (None, None) => unavailable("nothing published yet\n"),
    }
}

async fn metrics(State(views): State<Views>) -> Response {
    let registries = views.control_planes.registries();
    answer::metrics([&views.registry].into_iter().chain(&registries).map(|registry| &**registry))
}

fn map(view: &ControlPlaneView) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Published<'p> {
        generation: u64,
        pushed_at_unix_seconds: u64,
        map: &'p MapDocument,
    }

    let publication = view.outcomes.borrow().publication.clone();
    let Some(publication) = publication else { return unavailable("nothing published yet\n") };
    json(&Published {
        generation: publication.map.generation,
        pushed_at_unix_seconds: publication.at.as_secs(),
        map: &publication.map,
    })
}

fn peers(view: &ControlPlaneView) -> Response {
    json(&*view.peers.borrow())
}

fn sources(view: &ControlPlaneView) -> Response {
    json(&Vec::from_iter(view.source.borrow().clone()))
}

/// The status page of the only control plane, or of all.
async fn status_page(State(views): State<Views>) -> Response {
    match &views.only {
        None => page::of_all(&views.control_planes),
        Some(name) => {
            of_only(&views, |view| page::of_control_plane(name, false, view, &views.envoys))
        }
    }
}

async fn status_page_of_one(at: At) -> Response {
    let (views, name) = (at.0.0.clone(), at.1.0.clone());
    let many = views.only.is_none();
    of_one(at, |view| page::of_control_plane(&name, many, view, &views.envoys))
}

async fn events(
    State(views): State<Views>,
    headers: HeaderMap,
    Query(after): Query<After>,
) -> Response {
    of_only(&views, |view| events::answer(view, &views.streams, &headers, &after))
}

async fn events_of_one(at: At, headers: HeaderMap, Query(after): Query<After>) -> Response {
    let streams = at.0.streams.clone();
    of_one(at, |view| events::answer(view, &streams, &headers, &after))
}

async fn control_planes(State(views): State<Views>) -> Response {
    json(&views.control_planes.shown())
}

async fn envoys(State(views): State<Views>) -> Response {
    json(&views.envoys.view())
}
