//! From a request to its answer: health, discovery, objects, or one of the
//! refusals of kube-apiserver.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, anyhow};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, TRAILER,
    USER_AGENT, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use axum::response::IntoResponse as _;
use futures_util::FutureExt as _;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::accept::{self, DiscoveryForm};
use super::objects::{self, type_not_found};
use super::open_api;
use super::path::{self, Asked};
use super::peer::{Canned, CannedEnd, PEER_HEADER, Peer, Rules};
use super::reply::{Answer, accept_of, json, page_not_found, text};
use super::status::Status;
use super::view::View;
use crate::recordings::AGGREGATED;

/// Answers the requests of a connection.
pub(super) async fn serve(peer: Arc<Peer>, stream: TlsStream<TcpStream>) -> Result<()> {
    let service = service_fn(move |request| answer(Arc::clone(&peer), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // As Go's servers do (http.DefaultMaxHeaderBytes).
    builder.http2().max_header_list_size(1 << 20);
    builder.serve_connection(TokioIo::new(stream), service).await.map_err(|error| anyhow!(error))
}

/// Answers a request; always with the name of the peer.
async fn answer(
    peer: Arc<Peer>,
    request: Request<hyper::body::Incoming>,
) -> Result<Answer, Infallible> {
    peer.requests.fetch_add(u64::from(!is_of_companion(&request)), Ordering::Relaxed);
    let is_head = request.method() == Method::HEAD;
    let path = request.uri().path();
    let canned = peer.state().canned.get(path).cloned();
    let (path, request) = (path.to_owned(), read_early(request).await);
    let mut answer = if path != "/version" && !is_authorized(&peer, &request) {
        text(StatusCode::UNAUTHORIZED, "Unauthorized")
    } else if let Some(canned) = canned {
        as_prescribed(canned).await
    } else {
        match peer.view() {
            Ok(view) => route(&peer, &view, request).await,
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
        }
    };
    if let Ok(name) = HeaderValue::from_str(&peer.name) {
        answer.headers_mut().insert(PEER_HEADER, name);
    }
    Ok(if is_head { without_body(answer) } else { answer })
}

fn is_of_companion<B>(request: &Request<B>) -> bool {
    let user_agent = request.headers().get(USER_AGENT).map(HeaderValue::as_bytes);
    user_agent.is_some_and(|name| name.starts_with(b"mixed-version-companion/"))
}

/// Go's server reads a body of up to 256 KiB before it answers over HTTP/1.1,
/// whether or not anybody wants it; else the client may lose the answer with the
/// connection.
async fn read_early(request: Request<hyper::body::Incoming>) -> Request<Body> {
    const MOST: u64 = 256 << 10;
    let length = request.body().size_hint().exact();
    let (parts, body) = request.map(Body::new).into_parts();
    if parts.version != Version::HTTP_11 || length.is_none_or(|length| length > MOST) {
        return Request::from_parts(parts, body);
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    Request::from_parts(parts, Body::from(body))
}

fn is_authorized<B>(peer: &Peer, request: &Request<B>) -> bool {
    let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let demanded = &peer.state().rules.token;
    demanded.as_ref().is_none_or(|token| given == Some(format!("Bearer {token}").as_bytes()))
}

/// How many bytes of a body come before a pause.
const BEGIN: usize = 512;

/// Long enough for whoever reads to have read what came before.
const PAUSE: Duration = Duration::from_millis(50);

async fn as_prescribed(canned: Canned) -> Answer {
    tokio::time::sleep(canned.delay).await;
    let begin = stream::iter([Bytes::from(canned.body.clone())]);
    let body = match canned.end {
        CannedEnd::Complete => Body::from(canned.body),
        CannedEnd::Trailers => {
            let trailers = HeaderMap::from_iter([(TRAILER, HeaderValue::from_static("x"))]);
            let trailers = std::future::ready(Some(Ok(trailers)));
            Body::new(Full::new(Bytes::from(canned.body)).with_trailers(trailers))
        }
        CannedEnd::Paused => {
            let mut begin = Bytes::from(canned.body);
            let rest = begin.split_off(begin.len().min(BEGIN));
            let rest = stream::once(tokio::time::sleep(PAUSE).map(|()| rest));
            Body::from_stream(stream::iter([begin]).chain(rest).map(Ok::<_, Infallible>))
        }
        CannedEnd::Broken => {
            let broken = stream::once(async { Err(std::io::Error::other("broken")) });
            Body::from_stream(begin.map(Ok).chain(broken))
        }
        CannedEnd::Endless => {
            endless(begin.chain(stream::repeat(Bytes::from_static(&[b' '; 4096]))))
        }
        CannedEnd::Stalled => endless(begin.chain(stream::pending())),
    };
    (canned.status, canned.headers, body).into_response()
}

fn endless(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    Body::from_stream(pieces.map(Ok::<_, Infallible>))
}

/// Returns the answer to HEAD, which states the length of the body. hyper leaves that to
/// its user for HTTP/2.
fn without_body(answer: Answer) -> Answer {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = HttpBody::size_hint(&body).exact() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Body::empty())
}

async fn route(peer: &Peer, view: &View, request: Request<Body>) -> Answer {
    if let Some(answer) = open_api::answer(&peer.state().open_api, &request) {
        return answer;
    }
    let path = request.uri().path();
    if let Some(answer) = health_or_document(peer, view, path) {
        return answer;
    }
    let accepted = accept_of(&request);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match path::read(path) {
        Asked::Root(root) => discovery_root(peer, view, root, &request),
        Asked::Group(group) => match view.legacy(&format!("/apis/{group}")) {
            Some(body) => document(body),
            None => page_not_found(),
        },
        Asked::Version(group, version) => {
            let known = view.types().has_version(&group, &version);
            if known && !is_read {
                return Status::method_not_allowed().answer(accept::form(&accepted));
            }
            let prefix =
                if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
            match view.legacy(&format!("{prefix}/{version}")) {
                Some(body) if known => document(body),
                _ => type_not_found(view, &group, &accepted),
            }
        }
        Asked::Objects(asked) => objects::answer(peer, view, asked, request).await,
        Asked::Other => page_not_found(),
    }
}

fn health_or_document(peer: &Peer, view: &View, path: &str) -> Option<Answer> {
    match path {
        "/readyz" if !peer.state().ready => {
            let body = "[+]ping ok\n[-]shutdown failed: reason withheld\nreadyz check failed\n";
            Some(text(StatusCode::INTERNAL_SERVER_ERROR, body))
        }
        "/readyz" | "/livez" | "/healthz" => Some(text(StatusCode::OK, "ok")),
        "/version" | "/openapi/v3" => {
            let recorded = view.recorded(path)?;
            let mut answer = document(recorded.body.clone());
            for (name, value) in &recorded.exchange.headers {
                let name = axum::http::HeaderName::try_from(name).ok()?;
                answer.headers_mut().insert(name, HeaderValue::from_str(value).ok()?);
            }
            Some(answer)
        }
        _ => None,
    }
}

/// `/api` and `/apis`, whose aggregated form has an ETag.
fn discovery_root(peer: &Peer, view: &View, root: &str, request: &Request<Body>) -> Answer {
    let accepted = accept_of(request);
    let Rules { own_view_only, older_forms_only, .. } = peer.state().rules;
    let form = match accept::discovery_form(&accepted) {
        _ if own_view_only && !accepted.contains("profile=nopeer") => None,
        Some(_) if older_forms_only => Some(DiscoveryForm::Legacy),
        form => form,
    };
    match form {
        None => Status::discovery_not_acceptable().answer(None),
        Some(DiscoveryForm::Legacy) => view.legacy(root).map_or_else(page_not_found, document),
        Some(DiscoveryForm::Aggregated) => {
            let Some((etag, body)) = view.aggregated(root) else { return page_not_found() };
            // Only exactly this ETag matches: not a list, a weak one or an asterisk.
            let asked = request.headers().get(IF_NONE_MATCH).map(HeaderValue::as_bytes);
            let headers = [(CACHE_CONTROL, "public"), (VARY, "Accept"), (ETAG, etag.as_str())];
            if asked == Some(etag.as_bytes()) {
                return (StatusCode::NOT_MODIFIED, headers).into_response();
            }
            peer.whole_documents.fetch_add(1, Ordering::Relaxed);
            (headers, [(CONTENT_TYPE, AGGREGATED)], Body::from(body)).into_response()
        }
    }
}

fn document(body: Vec<u8>) -> Answer {
    json(StatusCode::OK, body)
}
