//! The gRPC service, and the limits of who may use it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::{Status, Streaming};
use tonic_prost::ProstDecoder;

use super::access::{Access, without_map_status};
use super::body::{self, Frames};
use super::connection::{Peer, Slots};
use super::form::{Delta, Form, StateOfTheWorld};
use super::kind::Kind;
use super::listener::{self, Accepted, TlsError};
use super::metrics::{AdsMetrics, RefusalReason};
use super::session::LARGEST_REQUEST;
use super::snapshots::Snapshots;
use super::stream::{Context, Stream};
use crate::secrets::AdsSettings;

/// At most one unanswered push of each type is on its way, and an error.
const QUEUE: usize = Kind::ALL.len() + 3;

/// After this time, a connection takes no new streams and ends with the last of those that it has. A
/// client that may have no stream, or opens none, does not keep a connection for longer.
const CONNECTION: Duration = Duration::from_secs(60);

const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("ads.listen: {0}")]
    Listen(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    max_clients: usize,
}

impl Server {
    /// Binds the address of the configuration.
    pub async fn bind(settings: &AdsSettings) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(settings.server.listen).await?;
        let max_clients = settings.server.max_clients;
        Ok(Self { listener, tls: listener::tls(settings)?, max_clients })
    }

    /// Serves until the listener fails.
    pub async fn run(
        self,
        settings: watch::Receiver<Arc<AdsSettings>>,
        snapshots: Snapshots,
        metrics: AdsMetrics,
    ) -> Result<(), String> {
        let (sender, connections) = mpsc::channel(1);
        let slots = Slots::new(self.max_clients);
        let accepted = Accepted { connections: sender, slots, metrics: metrics.clone() };
        let accept = listener::accept(self.listener, settings.clone(), self.tls, accepted);
        let access = Access::Names { settings, started: Instant::now() };
        let service = Service::new(&snapshots, access, metrics, self.max_clients);
        let server = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .http2_keepalive_timeout(Some(Duration::from_secs(10)))
            // One stream is enough for all types.
            .max_concurrent_streams(4)
            .max_connection_age(CONNECTION)
            .serve_with_incoming(service, ReceiverStream::new(connections));
        tokio::select! {
            served = server => served.map_err(|error| error.to_string()),
            () = accept => Err("the listener of ADS ended".to_owned()),
        }
    }
}

#[derive(Clone)]
pub(super) struct Service {
    context: Context,
    clients: Arc<Semaphore>,
}

impl Service {
    /// Returns a service with the latest snapshot, for at most `clients` streams at once.
    pub(super) fn new(
        snapshots: &Snapshots,
        access: Access,
        metrics: AdsMetrics,
        clients: usize,
    ) -> Self {
        let context = Context { snapshots: snapshots.clone(), access, metrics };
        Self { context, clients: Arc::new(Semaphore::new(clients)) }
    }

    /// Starts the task of a stream, for a client that may have one.
    fn serve<F: Form>(&self, request: Request<Body>) -> Response<Body> {
        let (peer, slot) = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(status) => return status.into_http(),
        };
        let (sender, messages) = mpsc::channel(QUEUE);
        let entry = self.context.snapshots.envoys().enter(peer.client.names.clone(), F::NAME);
        let stream = Stream::<F>::new(self.context.clone(), peer, entry, sender);
        let decoder = ProstDecoder::<F::Request>::default();
        let requests =
            Streaming::new_request(decoder, request.into_body(), None, Some(LARGEST_REQUEST));
        tokio::spawn(run(stream, requests, slot));
        body::response::<F>(messages).map(|frames: Frames<F>| Body::new(frames))
    }

    /// Returns the client if it may have a stream, and its slot.
    fn admit(&self, request: &Request<Body>) -> Result<(Peer, OwnedSemaphorePermit), Status> {
        // Over a socket of this host, there is none.
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let names = &peer.client.names;
        if let Err(error) = self.context.access.check(&peer.client) {
            tracing::warn!(?names, %error, "refused a client of ADS");
            self.context.metrics.refused(RefusalReason::Name);
            return Err(Status::permission_denied(error.to_string()));
        }
        let granted = self.context.access.granted(&peer.client);
        let is_ready = self.context.access.is_ready(&self.context.snapshots.of(&granted).borrow());
        // Which of the early listeners the client asks for, its first request tells.
        if !is_ready && !self.context.snapshots.is_early() {
            tracing::info!(?names, "sent a client of ADS away, because this server has no map yet");
            self.context.metrics.refused(RefusalReason::NoMap);
            return Err(without_map_status());
        }
        let Ok(slot) = Arc::clone(&self.clients).try_acquire_owned() else {
            tracing::warn!(?names, "refused a client of ADS: there are too many");
            self.context.metrics.refused(RefusalReason::Limit);
            return Err(Status::resource_exhausted("too many clients"));
        };
        Ok((peer, slot))
    }
}

async fn run<F: Form>(
    stream: Stream<F>,
    requests: Streaming<F::Request>,
    _slot: OwnedSemaphorePermit,
) {
    stream.run(requests).await;
}

/// Not the generated service, which would copy every response for each stream.
impl tower_service::Service<Request<Body>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(match request.uri().path() {
            DELTA => self.serve::<Delta>(request),
            STATE_OF_THE_WORLD => self.serve::<StateOfTheWorld>(request),
            _ => Status::unimplemented("only the aggregated discovery service").into_http(),
        }))
    }
}
