//! Nothing of one control plane is reachable from a connection of another.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use fake_apiserver::replay::PEER_HEADER;
use harness::envoy::Envoy;
use harness::shared_ingress::LISTENER;
use harness::tap::{Tap, has, has_no_key};
use harness::wait;
use pki::tls;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wire::capture::{Capture, CapturedRequest};
use wire::client::Http;
use wire::raw::{Answer, Request};

use super::corpus::{self, Case, FROM};
use super::names::host;
use super::run::{self, Got};
use super::scene::{DEADLINE, Plane, Scene};
use super::types::{group, widgets};

/// Returns the ordered pairs of different control planes.
fn pairs(scene: &Scene) -> impl Iterator<Item = (&Plane, &Plane)> {
    let all = &scene.planes;
    all.iter()
        .flat_map(|own| all.iter().map(move |other| (own, other)))
        .filter(|(own, other)| own.name() != other.name())
}

fn assert_none(faults: &[String]) {
    let shown = faults.iter().take(30).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} faults:\n{shown}", faults.len());
}

#[tokio::test]
async fn no_hostile_request_reaches_a_server_of_another_control_plane() -> Result<()> {
    let scene = Scene::start_captured(&["a", "ab"]).await?;
    let port = scene.port().await?;
    let mut sent = 0;
    for (own, other) in pairs(&scene) {
        let cases = corpus::cases(&own.side(), &other.side());
        ensure!(cases.len() > 150, "{} cases", cases.len());
        for files in [None, Some(&own.user)] {
            let got = run::send_all(&cases, &own.raw(port, files)?).await;
            let answered = got.iter().filter(|got| got.status.is_some()).count();
            ensure!(answered > cases.len() / 2, "only {answered} answers");
            sent += answered;
        }
    }
    let Scene { envoy, planes, .. } = scene;
    envoy.stop().await?;
    let mut arrived = 0;
    for plane in &planes {
        let requests = captured(plane).await?;
        assert_none(&faults(plane, &requests)?);
        arrived += requests.len();
    }
    ensure!(arrived > sent / 3, "only {arrived} of {sent} arrived");
    Ok(())
}

/// Returns the requests that arrived at a control plane's servers, once no more can.
async fn captured(plane: &Plane) -> Result<Vec<CapturedRequest>> {
    wait::until_true("connections to end", DEADLINE, async || {
        !plane.captures.iter().any(Capture::is_recording)
    })
    .await?;
    Ok(plane.captures.iter().flat_map(Capture::requests).collect())
}

/// Returns what arrived at the servers of `plane` and came from another, or says, or presents, what
/// is not of its clients.
fn faults(plane: &Plane, requests: &[CapturedRequest]) -> Result<Vec<String>> {
    let front_proxy = plane.config.front_proxy.as_ref().context("no front proxy")?;
    let front_proxy = CertificateDer::from_pem_file(&front_proxy.certificate)?;
    let user = format!("user-of-{}", plane.name());
    let fault = |request: &CapturedRequest| {
        let from = request.value(FROM).is_none_or(|from| from == plane.name().as_bytes());
        let users: BTreeSet<_> = request.values("x-remote-user").collect();
        let identity = match request.certificate.as_deref() {
            None => users.is_empty(),
            Some(certificate) => {
                certificate == front_proxy.as_ref() && users == BTreeSet::from([user.as_bytes()])
            }
        };
        (!from || !identity).then(|| format!("at {}: {request:?}", plane.name()))
    };
    Ok(requests.iter().filter_map(fault).collect())
}

#[tokio::test]
async fn no_answer_to_a_hostile_request_tells_of_another_control_plane() -> Result<()> {
    let scene = Scene::start(&["a", "ab", "b"]).await?;
    let port = scene.port().await?;
    let others = scene.planes.iter().cycle().skip(1);
    for (own, other) in scene.planes.iter().zip(others) {
        let cases = corpus::cases(&own.side(), &other.side());
        let got = run::send_all(&cases, &own.raw(port, None)?).await;
        assert_none(&told(&cases, &got, own, other));
        // The same documents of the other one do tell.
        let answer = other.client(port, false, Http::Two)?.get("/apis").await?.ok()?;
        ensure!(answer.text().contains(&group(other.name())), "{}", answer.text());
        let answer = own.client(port, false, Http::Two)?.get("/apis").await?.ok()?;
        ensure!(!answer.text().contains(&group(other.name())), "{}", answer.text());
        let answer = own.client(port, false, Http::One)?.get(&widgets(other.name())).await?;
        ensure!(answer.status == 404, "{answer:?}");
    }
    Ok(())
}

/// Returns the answers with something in them that only the other control plane has. What a request
/// itself has may come back: Kubernetes repeats names of groups and paths in its errors.
fn told(cases: &[Case], got: &[Got], own: &Plane, other: &Plane) -> Vec<String> {
    let servers = other.config.peers.iter().map(|(_, address)| address.to_string());
    let mut secrets =
        vec![group(other.name()), host(other.name()), format!("\"{}__", other.name())];
    secrets.extend(servers);
    let mut faults = Vec::new();
    for (case, got) in cases.iter().zip(got) {
        for secret in &secrets {
            if has(&got.bytes, secret) && !case.name.contains(secret.as_str()) {
                faults.push(format!("{}: {secret} in the answer {:?}", case.name, got.status));
            }
        }
        if got.status == Some(200)
            && case.name.contains(&group(other.name()))
            && has(&got.bytes, "\"Widget\"")
        {
            faults.push(format!("{}: {} serves it", case.name, own.name()));
        }
    }
    faults
}

#[tokio::test]
async fn the_name_in_the_handshake_alone_chooses_a_control_plane() -> Result<()> {
    let scene = Scene::start(&["a", "b"]).await?;
    let port = scene.port().await?;
    let [a, b] = scene.planes.as_slice() else { anyhow::bail!("two control planes") };

    // One connection of HTTP/2, used for both names, stays what it was.
    let mut connection = a.raw(port, None)?.two().await?;
    for (authority, path, status) in [
        (host("a"), widgets("a"), 200),
        (host("b"), widgets("a"), 200),
        (host("b"), widgets("b"), 404),
        (host("a"), widgets("a"), 200),
    ] {
        let stream = connection.send(&get(&authority, &path)).await?;
        let answer = connection.answer(stream, DEADLINE).await;
        ensure!(answer == Answer::Status(status), "{authority}{path}: {answer:?}");
    }

    // Letters of any case are the same name; anything else is nobody's.
    let config = Arc::new(tls::client(&a.fleet.pki().ca_pem(), None, &["http/1.1"])?);
    tls::connect_as(port, &config, "A.Example.COM").await?;
    for name in ["c.example.com", "x.a.example.com", "example.com", "127.0.0.1"] {
        ensure!(tls::connect_as(port, &config, name).await.is_err(), "{name} was accepted");
    }
    let error = tls::connect_as(port, &config, &host("b")).await;
    ensure!(error.is_err(), "a trusts the certificate of b");

    // Each control plane refuses the other's client certificates.
    for (own, other) in [(a, b), (b, a)] {
        let stranger = own.raw(port, Some(&other.user))?.one().await;
        if let Ok(mut connection) = stranger {
            // TLS 1.3 tells a client only after the handshake.
            connection.send(b"GET /version HTTP/1.1\r\nHost: h\r\n\r\n").await.ok();
            let statuses = connection.statuses(1, DEADLINE).await;
            ensure!(statuses.is_empty() && connection.ended(), "{statuses:?}");
        }
        let answer = own.client(port, true, Http::Two)?.get("/version").await?;
        ensure!(answer.header(PEER_HEADER).is_some(), "{answer:?}");
    }
    Ok(())
}

fn get(authority: &str, path: &str) -> Request {
    let fields =
        [(":method", "GET"), (":scheme", "https"), (":path", path), (":authority", authority)];
    let field = |(name, value): (&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    Request { headers: fields.map(field).to_vec(), ..Request::default() }
}

#[tokio::test]
async fn no_private_key_is_ever_sent() -> Result<()> {
    let scene = Scene::start(&["a"]).await?;
    let plane = scene.planes.first().context("no control plane")?;
    let (pki, [companion, envoy]) = scene.ingress.ads_certificates();
    let tap = Tap::start(scene.companion.port, pki, [&companion, &envoy]).await?;
    let second = Envoy::start(scene.ingress.envoy("envoy-2", tap.port())?).await?;
    let client = plane.client(second.listener_port(LISTENER).await?, true, Http::Two)?;
    wait::until("the second Envoy to serve", DEADLINE, async || {
        client.get(&widgets("a")).await?.ok()?;
        anyhow::Ok(())
    })
    .await?;
    for text in ["BEGIN CERTIFICATE", "a__front-proxy", "a.example.com", "a/client-ca"] {
        ensure!(tap.has_seen(text), "{text} was not sent");
    }
    let front_proxy = plane.config.front_proxy.as_ref().context("no front proxy")?;
    has_no_key(&tap.seen(), &[&plane.config.server, front_proxy, &companion])
}

#[tokio::test]
async fn no_session_is_resumed() -> Result<()> {
    let scene = Scene::start(&["a"]).await?;
    let plane = scene.planes.first().context("no control plane")?;
    let port = scene.port().await?;
    let mut config = tls::client(&plane.fleet.pki().ca_pem(), None, &["http/1.1"])?;
    config.resumption = Resumption::in_memory_sessions(64);
    let config = Arc::new(config);
    for _ in 0..3 {
        let mut stream = tls::connect_as(port, &config, &host("a")).await?;
        // A ticket would come with the answer.
        tokio::io::AsyncWriteExt::write_all(
            &mut stream,
            b"GET /version HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        .await?;
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await?;
        let (_, session) = stream.get_ref();
        ensure!(session.tls13_tickets_received() == 0, "a ticket was issued");
        let kind = session.handshake_kind();
        ensure!(kind == Some(rustls::HandshakeKind::Full), "{kind:?}");
    }
    Ok(())
}
