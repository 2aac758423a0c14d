//! Every discovery document in every form, asked for again and again on
//! connections of their own.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::mem;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::control_plane::User;
use harness::site::Site;
use harness::skew::{NEW, OLD};
use harness::wait;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wire::client::{Answer, Client, Http};

use super::contents::named;

/// How often each document is asked for.
const ROUNDS: usize = 50;

/// How often with the ETag that it had.
const CONDITIONAL_ROUNDS: usize = 10;

/// The time from the first check on in which the companion reads how the servers store each type, and
/// merges their OpenAPI documents.
const SETTLED: Duration = Duration::from_secs(120);

const JSON: &str = "application/json";
const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
/// What client-go asks for since 1.30, and what it asked for before.
const CLIENT_GO: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
const OLD_CLIENT_GO: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
const NO_PEER: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer";

/// Headers that differ from answer to answer of one server as well: of one
/// request, of one server's flow schemas, of its OpenAPI's age, and Envoy's.
const PASSING_HEADERS: [&str; 6] = [
    "audit-id",
    "date",
    "last-modified",
    "x-envoy-upstream-service-time",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
];

/// The content that the document is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Both servers' together.
    Union,
    /// At least the content of the newer server.
    Newer,
}
use Content::{Newer, Union};

/// Every form that clients ask for.
const DOCUMENTS: [(&str, &str, Content); 22] = [
    ("/api", V2, Union),
    ("/api", V2BETA1, Union),
    ("/api", JSON, Union),
    ("/apis", V2, Union),
    ("/apis", V2BETA1, Union),
    ("/apis", JSON, Union),
    ("/api", CLIENT_GO, Union),
    ("/apis", CLIENT_GO, Union),
    ("/apis", OLD_CLIENT_GO, Union),
    ("/api/v1", JSON, Union),
    ("/apis/certificates.k8s.io", JSON, Union),
    ("/apis/certificates.k8s.io/v1", JSON, Union),
    ("/apis/certificates.k8s.io/v1beta1", JSON, Union),
    ("/apis/admissionregistration.k8s.io", JSON, Union),
    ("/apis/admissionregistration.k8s.io/v1", JSON, Union),
    ("/apis/apps/v1", JSON, Union),
    ("/openapi/v3", JSON, Union),
    ("/openapi/v3/api/v1", JSON, Union),
    ("/openapi/v3/apis/certificates.k8s.io/v1beta1", JSON, Union),
    ("/openapi/v3/apis/admissionregistration.k8s.io/v1", JSON, Union),
    ("/openapi/v3/apis/apps/v1", JSON, Union),
    ("/openapi/v2", JSON, Newer),
];

/// Checks all documents. Returns figures of each.
pub async fn are_the_union(site: &Site) -> Result<Value> {
    let mut figures = Vec::new();
    let mut failures = Vec::new();
    let served = served(site).await?;
    let begun = Instant::now();
    let mut settling = Settling { begun, generation: 0 };
    for (path, accept, content) in DOCUMENTS {
        let check = async || document(site, path, accept, content, &served, begun).await;
        match settling.repeat(site, check).await {
            Ok(figure) => figures.push(figure),
            Err(error) => failures.push(format!("{path} as {accept}: {error:#}")),
        }
    }
    let check = async || schemas_are_where_the_index_says(site).await;
    if let Err(error) = settling.repeat(site, check).await {
        failures.push(format!("addresses in the index: {error:#}"));
    }
    if let Err(error) = nopeer_is_one_servers(site).await {
        failures.push(format!("nopeer: {error:#}"));
    }
    ensure!(failures.is_empty(), "{} documents: {}", failures.len(), failures.join("\n"));
    Ok(json!(figures))
}

/// The time of the first check, and the generation of Envoy's map at the end of the last one.
struct Settling {
    begun: Instant,
    generation: u64,
}

impl Settling {
    /// Repeats a failing check if Envoy got a map since the check before: a document may have changed.
    async fn repeat<T>(&mut self, site: &Site, check: impl AsyncFn() -> Result<T>) -> Result<T> {
        loop {
            let checked = check().await;
            let now = site.stack.generation().await?;
            let has_come = mem::replace(&mut self.generation, now) != now;
            if checked.is_ok() || !has_come || self.begun.elapsed() > SETTLED {
                return checked;
            }
        }
    }
}

/// Returns all that the servers serve, by their aggregated documents. An older server's
/// own `/apis` may lack a group-version that it serves, for it lists APIServices,
/// and a newer server that starts deletes those that it does not know.
async fn served(site: &Site) -> Result<BTreeSet<String>> {
    let mut served = BTreeSet::new();
    for server in [OLD, NEW] {
        let direct = site.direct(server, Http::Two)?;
        for path in ["/api", "/apis"] {
            served.extend(named(&ask(&direct, path, V2, None).await?.ok()?.json()?)?);
        }
    }
    Ok(served)
}

async fn document(
    site: &Site,
    path: &str,
    accept: &str,
    content: Content,
    served: &BTreeSet<String>,
    begun: Instant,
) -> Result<Value> {
    let mut servers = Vec::new();
    for server in [OLD, NEW] {
        // Servers have no v2beta1 since 1.33; it is v2 by another name.
        let accept = accept.split(',').next().unwrap_or(accept).replace("v2beta1", "v2");
        servers.push(ask(&site.direct(server, Http::Two)?, path, &accept, None).await?);
    }
    let expected = expected(&servers, content)?;
    let before = by_server(site).await?;
    let left = SETTLED.saturating_sub(begun.elapsed());
    let first = wait::until(path, left, async || {
        let answer = ask(&connection(site, 0)?, path, accept, None).await?.ok()?;
        check(&answer, &servers, &expected)?;
        anyhow::Ok(answer)
    })
    .await?;
    let names = named(&first.json()?)?;
    let surplus = names.difference(&expected).filter(|name| !served.contains(*name));
    let surplus: Vec<_> = surplus.collect();
    ensure!(content == Newer || surplus.is_empty(), "no server has {surplus:?}");
    for round in 1..ROUNDS {
        let answer = ask(&connection(site, round)?, path, accept, None).await?.ok()?;
        ensure!(answer.body == first.body, "another body in round {round}");
        let (headers, before) = (lasting_headers(&answer), lasting_headers(&first));
        ensure!(headers == before, "other headers in round {round}: {before:?}, {headers:?}");
    }
    let landed = by_server(site).await?;
    let landed: Vec<_> =
        landed.iter().zip(&before).map(|(now, before)| now.saturating_sub(*before)).collect();
    let skewed = servers.iter().any(|server| server.body != first.body);
    // The roots are asked for where most is known, and where the servers differ
    // one is asked whether the client may read it.
    let of_all = !skewed && !matches!(path, "/api" | "/apis");
    ensure!(!of_all || !landed.contains(&0), "they landed on one server: {landed:?}");
    let conditional = not_modified(site, path, accept, &first).await?;
    Ok(json!({
        "path": path,
        "accept": accept,
        "requests": ROUNDS,
        "notModified": conditional,
        "names": names.len(),
        "servers": servers.iter().map(|server| server.status.as_u16()).collect::<Vec<_>>(),
        "skewed": skewed,
        "landed": landed,
    }))
}

/// Returns how many requests Envoy has sent to each server.
async fn by_server(site: &Site) -> Result<[u64; 2]> {
    let landed = site.landed().await?;
    let of = |server: usize| {
        let name = site.plane.server(server)?.name();
        anyhow::Ok(landed.values().filter_map(|counts| counts.get(name)).sum())
    };
    Ok([of(OLD)?, of(NEW)?])
}

/// Merged documents by HEAD and with gzip.
pub async fn have_all_forms(site: &Site) -> Result<Value> {
    let mut forms = 0;
    for (path, accept) in [
        ("/api", V2),
        ("/apis", V2),
        ("/apis", JSON),
        ("/api/v1", JSON),
        ("/apis/certificates.k8s.io/v1beta1", JSON),
        ("/openapi/v3", JSON),
    ] {
        for round in 0..2 {
            let client = connection(site, round)?;
            let plain = ask(&client, path, accept, None).await?.ok()?;
            let answer = head(&client, path, accept).await?;
            ensure!(answer.body.is_empty(), "HEAD {path} has a body");
            // Not every document has a HEAD at a server.
            let direct = head(&site.direct(OLD, Http::Two)?, path, accept).await?;
            ensure!(answer.status == direct.status, "HEAD {path}: {}", answer.status);
            let (headers, expected) = (lasting_headers(&answer), lasting_headers(&plain));
            let same = !answer.status.is_success() || headers == expected;
            ensure!(same, "HEAD {path}: {headers:?}, GET: {expected:?}");
            compressed(&client, path, accept, &plain).await.with_context(|| path.to_owned())?;
            forms += 2;
        }
    }
    Ok(json!({ "forms": forms }))
}

async fn head(client: &Client, path: &str, accept: &str) -> Result<Answer> {
    client.send(client.request(Method::HEAD, path).header("accept", accept)).await
}

/// A client that accepts gzip gets it where kube-apiserver compresses: above 128 KiB.
async fn compressed(client: &Client, path: &str, accept: &str, plain: &Answer) -> Result<()> {
    ensure!(plain.header("content-encoding").is_none(), "compressed without being asked");
    let request = client.request(Method::GET, path).header("accept", accept);
    let answer = client.send(request.header("accept-encoding", "gzip")).await?.ok()?;
    let expected = (plain.body.len() > 128 * 1024).then_some("gzip");
    ensure!(answer.header("content-encoding") == expected, "{:?}", answer.headers);
    ensure!(answer.header("etag") == plain.header("etag"), "another ETag");
    let mut body = Vec::new();
    match expected {
        Some(_) => flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut body)?,
        None => (&*answer.body).read_to_end(&mut body)?,
    };
    ensure!(body == plain.body, "the content differs");
    Ok(())
}

/// Returns all names in the servers' own documents.
fn expected(servers: &[Answer], content: Content) -> Result<BTreeSet<String>> {
    let asked = if content == Newer { servers.get(NEW..) } else { Some(servers) };
    let mut all = BTreeSet::new();
    for answer in asked.unwrap_or_default() {
        if answer.status != StatusCode::NOT_FOUND {
            all.extend(named(&answer.clone().ok()?.json()?)?);
        }
    }
    ensure!(!all.is_empty(), "no server has it");
    Ok(all)
}

/// Checks that a first answer has the expected names, and the form of a server's answer.
fn check(answer: &Answer, servers: &[Answer], expected: &BTreeSet<String>) -> Result<()> {
    let names = named(&answer.json()?)?;
    let missing: Vec<_> = expected.difference(&names).collect();
    ensure!(missing.is_empty(), "{} names are missing: {missing:?}", missing.len());
    let served = servers.iter().rev().find(|server| server.status.is_success());
    let served = served.context("no server has it")?;
    for name in ["content-type", "cache-control", "vary"] {
        let ours = list(answer, name).replace("v2beta1", "v2");
        let theirs = list(served, name);
        ensure!(ours == theirs, "{name}: a server has {theirs:?}, here is {ours:?}");
    }
    let (ours, theirs) = (answer.header("etag"), served.header("etag"));
    ensure!(ours.is_some() || theirs.is_none(), "no ETag");
    ensure!(answer.header("audit-id").is_some(), "no Audit-Id");
    Ok(())
}

/// Returns a header, in one field or several.
fn list(answer: &Answer, name: &str) -> String {
    let fields = answer.headers.get_all(name).iter().filter_map(|field| field.to_str().ok());
    let items = fields.flat_map(|field| field.split(',')).map(str::trim);
    items.collect::<Vec<_>>().join(", ")
}

/// A request with the answer's ETag gets no body. Returns how often that was seen.
async fn not_modified(site: &Site, path: &str, accept: &str, answer: &Answer) -> Result<usize> {
    let Some(etag) = answer.header("etag") else { return Ok(0) };
    for round in 0..CONDITIONAL_ROUNDS {
        let again = ask(&connection(site, round)?, path, accept, Some(etag)).await?;
        ensure!(again.status == StatusCode::NOT_MODIFIED, "{} in round {round}", again.status);
        ensure!(again.body.is_empty(), "a 304 with a body");
        ensure!(again.header("etag") == Some(etag), "another ETag: {:?}", again.header("etag"));
    }
    let other = ask(&connection(site, 0)?, path, accept, Some("\"ABC\"")).await?;
    ensure!(other.status == StatusCode::OK && other.body == answer.body, "{}", other.status);
    Ok(CONDITIONAL_ROUNDS)
}

/// The index's addresses lead to documents at once, which may be cached for
/// good, as kubectl does.
async fn schemas_are_where_the_index_says(site: &Site) -> Result<()> {
    let index = ask(&site.client(Http::Two)?, "/openapi/v3", JSON, None).await?.json()?;
    let paths = index.get("paths").and_then(Value::as_object).context("no paths")?;
    for (name, entry) in paths {
        let url = entry.get("serverRelativeURL").and_then(Value::as_str);
        let url = url.with_context(|| format!("{name} has no address"))?;
        for round in 0..4 {
            let answer = ask(&connection(site, round)?, url, JSON, None).await?;
            ensure!(answer.status == StatusCode::OK, "{url}: {}", answer.status);
            let control = answer.header("cache-control").unwrap_or_default().to_owned();
            ensure!(control.contains("immutable"), "{url}: cache-control {control:?}");
        }
    }
    Ok(())
}

/// A client that asks for a server's own view gets it.
async fn nopeer_is_one_servers(site: &Site) -> Result<()> {
    for path in ["/api", "/apis"] {
        let mut bodies = Vec::new();
        for server in [OLD, NEW] {
            bodies.push(ask(&site.direct(server, Http::Two)?, path, NO_PEER, None).await?.body);
        }
        for round in 0..CONDITIONAL_ROUNDS {
            let answer = ask(&connection(site, round)?, path, NO_PEER, None).await?.ok()?;
            ensure!(bodies.contains(&answer.body), "{path} is of neither server");
        }
    }
    Ok(())
}

/// A client that may not read a server's own document gets the server's refusal.
pub async fn are_refused_as_by_a_server(site: &Site) -> Result<Value> {
    let url = site.stack.url();
    let mut refused = 0;
    // Nor does a refusal tell such a client which types exist.
    let unknown = ("/apis/nosuch.io/v1/foos", JSON, Union);
    for (path, accept, _) in DOCUMENTS.into_iter().chain([unknown]) {
        let mut statuses = Vec::new();
        for server in [OLD, NEW] {
            let url = site.plane.server(server)?.url();
            let direct = site.plane.client(&url, User::Anonymous, Http::One)?;
            statuses.push(ask(&direct, path, accept, None).await?.status);
        }
        for _ in 0..4 {
            let client = site.plane.client(&url, User::Anonymous, Http::One)?;
            let answer = ask(&client, path, accept, None).await?;
            ensure!(statuses.contains(&answer.status), "{path}: {} {statuses:?}", answer.status);
            ensure!(!answer.status.is_success(), "{path}: anonymous may read it");
            refused += 1;
        }
    }
    Ok(json!({ "requests": refused }))
}

/// Returns a client with its own connection, by HTTP/2 and HTTP/1.1 in turn.
fn connection(site: &Site, round: usize) -> Result<Client> {
    site.client(if round.is_multiple_of(2) { Http::Two } else { Http::One })
}

async fn ask(client: &Client, path: &str, accept: &str, etag: Option<&str>) -> Result<Answer> {
    let mut request = client.request(Method::GET, path).header("accept", accept);
    if let Some(etag) = etag {
        request = request.header("if-none-match", etag);
    }
    client.send(request).await
}

/// Returns the headers that are the same in every answer. HTTP/1.1 and HTTP/2 frame
/// bodies differently.
fn lasting_headers(answer: &Answer) -> BTreeSet<(String, String)> {
    let framing = ["content-length", "transfer-encoding"];
    let headers = answer.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    headers
        .filter(|(name, _)| !PASSING_HEADERS.contains(&name.as_str()))
        .filter(|(name, _)| !framing.contains(&name.as_str()))
        .collect()
}
