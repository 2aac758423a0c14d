//! A kube-apiserver as far as a companion sees one.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use http_body::Frame;
use rcgen::{BasicConstraints, CertificateParams, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a peer answers; a test changes it while the peer runs.
#[derive(Clone, Debug)]
pub struct Behaviour {
    pub ready: bool,
    /// What a client must show; nothing if empty.
    pub token: String,
    /// `group/version/resource`; a group without a name is in `/api`.
    pub types: Vec<String>,
    /// Answers with the older lists, without `ETag`.
    pub legacy: bool,
    /// How `/apis` goes wrong.
    pub fault: Option<Fault>,
    /// How `/openapi/v3` goes wrong, which there is not otherwise.
    pub open_api_fault: Option<Fault>,
    /// The `data` of the `ConfigMap` with the names of the identity headers.
    pub config_map: Result<serde_json::Value, StatusCode>,
}

/// A way in which an answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Sends the client elsewhere, where everything would be well.
    Redirect,
    /// Never ends its answer.
    Endless,
    /// Begins its answer and then says nothing more.
    Stalled,
    /// Ends in the middle.
    Truncated,
    /// Answers something else altogether.
    Garbage,
}

pub struct Peer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: TlsAcceptor,
    runtime: Option<Runtime>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    full_answers: AtomicUsize,
}

pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key (PEM).
    pub fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Accepts as this name, and only clients with a certificate of this
    /// authority if `mutual`.
    fn acceptor(&self, name: &str, mutual: bool) -> TlsAcceptor {
        let (certificate, key) = self.issue(name);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
    }
}

impl Peer {
    pub fn start(authority: &Authority, types: &[&str]) -> Self {
        Self::start_as(authority, "kubernetes", types)
    }

    pub fn start_as(authority: &Authority, certificate_name: &str, types: &[&str]) -> Self {
        Self::start_behind(authority.acceptor(certificate_name, false), types)
    }

    /// One that asks for a client certificate and for no token.
    pub fn start_mutual(authority: &Authority, types: &[&str]) -> Self {
        let peer = Self::start_behind(authority.acceptor("kubernetes", true), types);
        peer.change(|behaviour| behaviour.token.clear());
        peer
    }

    fn start_behind(acceptor: TlsAcceptor, types: &[&str]) -> Self {
        let behaviour = Behaviour {
            ready: true,
            token: "secret".to_owned(),
            types: types.iter().map(|&name| name.to_owned()).collect(),
            legacy: false,
            fault: None,
            open_api_fault: None,
            config_map: Err(StatusCode::NOT_FOUND),
        };
        let shared = Shared { behaviour: Mutex::new(behaviour), full_answers: AtomicUsize::new(0) };
        let mut peer = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            shared: Arc::new(shared),
            acceptor,
            runtime: None,
        };
        peer.restart();
        peer
    }

    /// Listens, the first time on a free port, then on the same again.
    pub fn restart(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let tcp = runtime.block_on(TcpListener::bind(self.address)).unwrap();
        self.address = tcp.local_addr().unwrap();
        let listener = TlsListener { tcp, acceptor: self.acceptor.clone() };
        let router = router(Arc::clone(&self.shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        self.runtime = Some(runtime);
    }

    /// Gone from one moment to the next, connections and all.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    pub fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock().unwrap());
    }

    /// How many discovery documents were sent whole, and not as a 304.
    pub fn full_answers(&self) -> usize {
        self.shared.full_answers.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/readyz", get(readyz))
        .route("/version", get(|| async { axum::Json(json!({"gitVersion": "v1.2.3"})) }))
        .route("/api", get(|state, headers| discovery(state, headers, true)))
        .route("/apis", get(|state, headers| discovery(state, headers, false)))
        .route("/openapi/v3", get(open_api))
        .route("/api/{version}", get(core_version))
        .route(
            "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
            get(config_map),
        )
        .route("/apis/{group}/{version}", get(group_version))
        .with_state(shared)
}

impl Shared {
    fn authorized(&self, headers: &HeaderMap) -> Result<Behaviour, StatusCode> {
        let behaviour = self.behaviour.lock().unwrap().clone();
        let expected = format!("Bearer {}", behaviour.token);
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match behaviour.token.is_empty() || given == Some(&expected) {
            true => Ok(behaviour),
            false => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

async fn readyz(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match shared.authorized(&headers) {
        Ok(behaviour) if behaviour.ready => "ok".into_response(),
        Ok(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not ready").into_response(),
        Err(status) => status.into_response(),
    }
}

async fn discovery(State(shared): State<Arc<Shared>>, headers: HeaderMap, core: bool) -> Response {
    let behaviour = match shared.authorized(&headers) {
        Ok(behaviour) => behaviour,
        Err(status) => return status.into_response(),
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    assert!(accept.is_some_and(|accept| accept.contains("profile=nopeer")), "{accept:?}");
    if let (Some(fault), false) = (behaviour.fault, core) {
        return wrong(fault);
    }
    if behaviour.legacy {
        return axum::Json(legacy_list(&behaviour.types, core)).into_response();
    }
    let body = aggregated(&behaviour.types, core);
    let mut hasher = DefaultHasher::new();
    behaviour.types.hash(&mut hasher);
    let etag = format!("\"{:x}-{core}\"", hasher.finish());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|given| given == etag.as_str()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    shared.full_answers.fetch_add(1, Ordering::SeqCst);
    ([(header::ETAG, etag)], axum::Json(body)).into_response()
}

async fn open_api(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match shared.authorized(&headers).map(|behaviour| behaviour.open_api_fault) {
        Ok(Some(fault)) => wrong(fault),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(status) => status.into_response(),
    }
}

fn wrong(fault: Fault) -> Response {
    let begin = r#"{"kind":"APIGroupDiscoveryList","items":["#;
    match fault {
        Fault::Redirect => (StatusCode::FOUND, [(header::LOCATION, "/elsewhere")]).into_response(),
        Fault::Truncated => begin.into_response(),
        Fault::Garbage => b"\xff\x00{]".as_slice().into_response(),
        Fault::Endless | Fault::Stalled => {
            let begin = Bytes::from_static(begin.as_bytes());
            Body::new(NoEnd { begin: Some(begin), endless: fault == Fault::Endless })
                .into_response()
        }
    }
}

/// A body that goes on for ever, with spaces or with nothing.
struct NoEnd {
    begin: Option<Bytes>,
    endless: bool,
}

impl HttpBody for NoEnd {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match (self.begin.take(), self.endless) {
            (Some(begin), _) => Poll::Ready(Some(Ok(Frame::data(begin)))),
            (None, true) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 4096]))))),
            (None, false) => Poll::Pending,
        }
    }
}

/// The parts of `group/version/resource`.
fn split(name: &str) -> (&str, &str, &str) {
    let mut parts = name.splitn(3, '/');
    let mut next = || parts.next().unwrap();
    (next(), next(), next())
}

fn aggregated(types: &[String], core: bool) -> serde_json::Value {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for (group, version, resource) in types.iter().map(|name| split(name)) {
        if group.is_empty() == core {
            groups.entry((group, version)).or_default().push(resource);
        }
    }
    let items: Vec<_> = groups
        .into_iter()
        .map(|((group, version), names)| {
            // As long as the real ones are: it counts for the memory.
            let resource = |resource: &str| {
                json!({
                    "resource": resource,
                    "responseKind": {"group": group, "version": version, "kind": "SomeKindOfThing"},
                    "scope": "Namespaced",
                    "singularResource": "somekindofthing",
                    "verbs": ["delete", "deletecollection", "get", "list", "patch", "create",
                        "update", "watch"],
                    "shortNames": ["skt"],
                    "categories": ["all", "things"],
                    "subresources": [{
                        "subresource": "status",
                        "responseKind": {"group": group, "version": version, "kind": "SomeKind"},
                        "verbs": ["get", "patch", "update"],
                    }],
                })
            };
            let resources: Vec<_> = names.into_iter().map(resource).collect();
            json!({
                "metadata": {"name": group, "creationTimestamp": null},
                "versions": [{"version": version, "freshness": "Current", "resources": resources}],
            })
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items})
}

fn legacy_list(types: &[String], core: bool) -> serde_json::Value {
    if core {
        return json!({"kind": "APIVersions", "versions": ["v1"]});
    }
    let groups: Vec<_> = types
        .iter()
        .map(|name| split(name))
        .filter(|(group, ..)| !group.is_empty())
        .map(|(group, version, _)| json!({"name": group, "versions": [{"version": version}]}))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

async fn config_map(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match shared.authorized(&headers).and_then(|behaviour| behaviour.config_map) {
        Ok(data) => axum::Json(json!({"kind": "ConfigMap", "data": data})).into_response(),
        Err(status) => status.into_response(),
    }
}

async fn core_version(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    Path(version): Path<String>,
) -> Response {
    resources(state, headers, "", &version).await
}

async fn group_version(
    state: State<Arc<Shared>>,
    headers: HeaderMap,
    Path((group, version)): Path<(String, String)>,
) -> Response {
    resources(state, headers, &group, &version).await
}

async fn resources(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    group: &str,
    version: &str,
) -> Response {
    let behaviour = match shared.authorized(&headers) {
        Ok(behaviour) => behaviour,
        Err(status) => return status.into_response(),
    };
    let names: Vec<_> = behaviour
        .types
        .iter()
        .map(|name| split(name))
        .filter(|&(g, v, _)| (g, v) == (group, version))
        .map(|(_, _, name)| json!({"name": name, "namespaced": true}))
        .collect();
    axum::Json(json!({"kind": "APIResourceList", "resources": names})).into_response()
}
