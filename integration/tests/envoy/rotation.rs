//! How long connections outlive the certificates that they were made with: those
//! to servers the front proxy's, those of clients the authority that verified
//! them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fake_apiserver::Version;
use harness::envoy::Envoy;
use harness::fleet::Fleet;
use harness::stack::Stack;
use harness::wait;
use pki::{CertificateFiles, Pki};
use reqwest::{Method, Response};
use wire::capture::{ANSWER, Capture, CapturedRequest};
use wire::client::{Client, ClientOptions, Http};
use wire::raw::{Answer, One, Raw, Request, Two};

const DEADLINE: Duration = Duration::from_secs(30);

/// The values of the shipped configuration that these tests do not wait for.
const DURATION: &str = "max_connection_duration: 300s";
const SHORT_DURATION: &str = "max_connection_duration: 2s";
const IDLE: &str = "idle_timeout: 120s";
/// Long enough for a pause of the machine after the time of a connection and that of a drain.
const SHORT_IDLE: &str = "idle_timeout: 20s";

/// Between the two GOAWAYs of HTTP/2 (Envoy's `drain_timeout`), in which a
/// client that minds neither still gets answers.
const DRAIN: Duration = Duration::from_secs(5);

/// A capture behind Envoy as shipped, with certificates that can be
/// replaced.
struct Site {
    stack: Stack,
    capture: Capture,
    fleet: Fleet,
    clients: Pki,
    client_ca_file: PathBuf,
    front_proxies: Pki,
}

impl Site {
    async fn start() -> Result<Self> {
        let fleet = Fleet::start(&[Version::V1_36]).await?;
        let captures = fleet.captures().await?;
        let mut options = fleet.captured_stack_options(&captures)?;
        let capture = captures.into_iter().next().context("no peer")?;
        let pki = |name: &str| Pki::create_as(fleet.folder().join(name), name);
        let (clients, front_proxies) = (pki("clients")?, pki("front-proxies")?);
        let client_ca_file = fleet.folder().join("client-ca.crt");
        fs::copy(clients.ca_file(), &client_ca_file)?;
        options.client_ca_file.clone_from(&client_ca_file);
        options.front_proxy = Some(renewed(&front_proxies)?);
        let stack = Stack::start_with_map(options).await?;
        Ok(Self { stack, capture, fleet, clients, client_ca_file, front_proxies })
    }

    /// With times that a test can wait for.
    async fn start_with_short_times() -> Result<Self> {
        let mut site = Self::start().await?;
        let options = site.stack.envoy.options().clone();
        let options = options.replacing(DURATION, SHORT_DURATION)?.replacing(IDLE, SHORT_IDLE)?;
        site.stack.envoy.stop().await?;
        site.stack.envoy = Envoy::start(options).await?;
        Ok(site)
    }

    fn client(&self, http: Http) -> Result<Client> {
        Client::new(&ClientOptions {
            url: self.stack.url(),
            ca_pem: self.fleet.pki().ca_pem(),
            token: None,
            certificate: Some(self.certificate()?),
            http,
        })
    }

    fn raw(&self) -> Result<Raw> {
        Raw::new(self.stack.port(), &self.fleet.pki().ca_pem(), Some(&self.certificate()?))
    }

    fn certificate(&self) -> Result<CertificateFiles> {
        self.clients.client("client", "jane", &["dev"])
    }

    /// Returns the only request for this path, as it arrived.
    fn arrived(&self, path: &str) -> Result<CapturedRequest> {
        let mut records = self.capture.requests_of(|record| record.path == path.as_bytes());
        ensure!(records.len() == 1, "{} requests for {path} arrived", records.len());
        records.pop().context("none arrived")
    }

    /// Starts a body without an end. Returns it, and the request for it as it arrived.
    async fn stream(&self, client: &Client, path: &str) -> Result<(Response, CapturedRequest)> {
        let request = client.request(Method::GET, path).header(ANSWER, "stream");
        let response = request.timeout(4 * DEADLINE).send().await?.error_for_status()?;
        Ok((response, self.arrived(path)?))
    }

    /// Replaces the clients' authority, and waits until Envoy refuses the old one.
    async fn replace_client_authority(&self) -> Result<()> {
        let next = Pki::create_as(self.fleet.folder().join("next-clients"), "next-clients")?;
        fs::copy(next.ca_file(), &self.client_ca_file)?;
        wait::until("the old authority to be refused", DEADLINE, async || {
            match self.client(Http::Two)?.get("/api/v1/pods?refused").await {
                Err(_) => Ok(()),
                Ok(answer) => bail!("answered {}", answer.status),
            }
        })
        .await
    }
}

/// Writes a new certificate to the same files.
fn renewed(front_proxies: &Pki) -> Result<CertificateFiles> {
    front_proxies.client("front-proxy-client", "front-proxy-client", &[])
}

#[tokio::test]
async fn connections_to_servers_end_when_their_certificate_is_replaced() -> Result<()> {
    let site = Site::start().await?;
    // The connections to the servers are of the protocol of the clients'.
    for (idle, streaming) in [(Http::One, Http::Two), (Http::Two, Http::One)] {
        let path = |what: &str| format!("/api/v1/pods?{what}-{idle:?}");
        let (idle, streaming) = (site.client(idle)?, site.client(streaming)?);
        idle.get(&path("idle")).await?.ok()?;
        let quiet = site.arrived(&path("idle"))?;
        let (mut stream, busy) = site.stream(&streaming, &path("stream")).await?;
        ensure!(quiet.certificate.is_some() && quiet.certificate == busy.certificate);
        ensure!(quiet.connection != busy.connection, "they share a connection");

        renewed(&site.front_proxies)?;
        let mut number = 0;
        wait::until("the new certificate", DEADLINE, async || {
            number += 1;
            let path = path(&format!("new-{number}"));
            streaming.get(&path).await?.ok()?;
            ensure!(site.arrived(&path)?.certificate != busy.certificate, "it is the old one");
            Ok(())
        })
        .await?;
        let ended = |record: &CapturedRequest| !site.capture.is_open(record.connection);
        wait::until_true("the idle connection to end", DEADLINE, async || ended(&quiet)).await?;
        for _ in 0..3 {
            stream.chunk().await?.context("the stream has ended")?;
        }
        ensure!(!ended(&busy), "the stream's connection has ended");
        drop(stream);
        wait::until_true("the stream's to end with it", DEADLINE, async || ended(&busy)).await?;
    }
    Ok(())
}

/// Sends a request. Returns whether it was answered as usual.
async fn works_over_one(connection: &mut One, method: &str, path: &str, count: usize) -> bool {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").into_bytes();
    connection.send(&request).await.is_ok()
        && connection.statuses(count, DEADLINE).await.len() == count
}

fn fields(path: &str, answer: &str) -> Request {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", path),
        (":authority", "h"),
        (ANSWER, answer),
    ];
    let headers = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
    Request { headers, ..Request::default() }
}

/// Returns how many answers said that the connection would be closed.
fn closings(connection: &One) -> usize {
    let received = String::from_utf8_lossy(connection.received()).to_lowercase();
    received.matches("connection: close\r\n").count()
}

/// Sends a request as a client that ignores GOAWAY. Returns whether it is answered with 200 within
/// this time. A stream that Envoy does not accept gets no answer.
async fn works_over_two(connection: &mut Two, path: &str, limit: Duration) -> bool {
    let Ok(stream) = connection.send(&fields(path, "200")).await else { return false };
    connection.answer(stream, limit).await == Answer::Status(200)
}

#[tokio::test]
async fn a_client_of_a_removed_authority_is_refused_after_its_connection_expires() -> Result<()> {
    let site = Site::start_with_short_times().await?;
    // Made before `two`, so its time is over before that of `two`.
    let mut streaming = site.raw()?.two().await?;
    let stream = streaming.send(&fields("/api/v1/pods?stream", "stream")).await?;
    ensure!(streaming.answer(stream, DEADLINE).await == Answer::Status(200), "no stream");
    let mut two = site.raw()?.two().await?;
    let mut one = site.raw()?.one().await?;
    ensure!(works_over_two(&mut two, "/api/v1/pods?two", DEADLINE).await, "HTTP/2");
    ensure!(works_over_one(&mut one, "GET", "/api/v1/pods?one", 1).await, "HTTP/1.1");
    site.replace_client_authority().await?;

    // Two seconds, the time between the GOAWAYs, and some for a loaded machine.
    let bound = DRAIN + Duration::from_secs(8);
    let mut number = 1;
    wait::until("the connection of HTTP/1.1 to end", bound, async || {
        number += 1;
        let taken = works_over_one(&mut one, "GET", "/api/v1/pods?one", number).await;
        ensure!(!taken || one.ended(), "request {number} was answered");
        Ok(())
    })
    .await?;
    // Envoy closes a connection without streams, so this ends before its time limit.
    wait::until("HTTP/2 to take no request", bound, async || {
        let taken = works_over_two(&mut two, "/api/v1/pods?two", DEADLINE).await;
        ensure!(!taken, "a request was answered");
        Ok(())
    })
    .await?;
    let (late, second) = ("/api/v1/pods?late", Duration::from_secs(1));
    ensure!(!works_over_two(&mut two, late, second).await, "a late request was answered");
    ensure!(!works_over_two(&mut streaming, late, second).await, "beside a stream as well");
    let late = site.capture.requests_of(|record| record.path.ends_with(b"?late"));
    ensure!(late.is_empty(), "it arrived: {late:?}");
    // Running requests of any client continue.
    streaming.data(stream, DEADLINE).await.context("the stream has ended")?;
    Ok(())
}

#[tokio::test]
async fn an_idle_http1_connection_is_not_closed_while_a_request_is_sent() -> Result<()> {
    let site = Site::start_with_short_times().await?;
    let mut unused = site.raw()?.one().await?;
    ensure!(works_over_one(&mut unused, "GET", "/api/v1/pods?unused", 1).await, "no answer");
    let mut one = wait::until("an answer within the time of a connection", DEADLINE, async || {
        let mut one = site.raw()?.one().await?;
        ensure!(works_over_one(&mut one, "GET", "/api/v1/pods?first", 1).await, "no answer");
        ensure!(closings(&one) == 0, "its time was over");
        Ok(one)
    })
    .await?;
    // It would be closed after its time and that of a drain.
    one.statuses(2, Duration::from_secs(2) + DRAIN + Duration::from_secs(1)).await;
    ensure!(!one.ended(), "it is closed without a word");
    ensure!(works_over_one(&mut one, "POST", "/api/v1/pods?last", 2).await, "the POST is lost");
    ensure!(closings(&one) == 1, "{}", String::from_utf8_lossy(one.received()));
    one.statuses(3, DEADLINE).await;
    ensure!(one.ended(), "it is not closed with the answer");
    // An unused connection is closed in time.
    unused.statuses(2, DEADLINE).await;
    ensure!(unused.ended(), "it is not closed");
    Ok(())
}
