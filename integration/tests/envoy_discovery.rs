//! Merged discovery: what clients get in the place of a server's own documents.
//! The maps are the tests' own, so that each byte of an answer is known.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test, as it should")]

use std::fmt::Write as _;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use discovery_map::{DocumentForm, MergedDocument, OpenApi};
use fake_apiserver::Version;
use fake_apiserver::replay::{Canned, PEER_HEADER};
use flate2::read::GzDecoder;
use harness::fleet::Fleet;
use harness::pushed::{Pusher, merged};
use harness::stack::{Stack, StackOptions};
use harness::wait;
use reqwest::{Method, StatusCode};
use wire::client::{Answer, Client, ClientOptions, Http};

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// As often as it takes for round robin to have met every peer.
const ROUNDS: usize = 8;

/// Path, form, and an `Accept` header that asks for it.
const DOCUMENTS: [(&str, DocumentForm, &str); 9] = [
    ("/api", DocumentForm::AggregatedV2, V2),
    ("/apis", DocumentForm::AggregatedV2, V2),
    ("/apis", DocumentForm::AggregatedV2beta1, V2BETA1),
    ("/apis", DocumentForm::Plain, "application/json"),
    ("/api", DocumentForm::Plain, "*/*"),
    ("/api/v1", DocumentForm::Plain, "application/json"),
    ("/apis/apps", DocumentForm::Plain, ""),
    ("/apis/apps/v1", DocumentForm::Plain, "application/json, */*"),
    ("/openapi/v3", DocumentForm::Plain, PROTOBUF),
];

/// The content of a document in these tests.
fn content(path: &str, form: DocumentForm) -> Vec<u8> {
    format!("{{\"path\":\"{path}\",\"form\":\"{form:?}\"}}\n").into_bytes()
}

fn etag(path: &str, form: DocumentForm) -> Option<String> {
    let letters = path.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02X}").ok();
        hex
    });
    (form != DocumentForm::Plain).then(|| format!("{letters}{form:?}"))
}

struct Scene {
    fleet: Fleet,
    stack: Stack,
    pusher: Pusher,
    /// The cluster that is asked, and its index.
    asked: String,
    set: u16,
}

impl Scene {
    /// All documents are merged, and a set of one peer is asked about them.
    async fn start() -> Result<Self> {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut StackOptions)) -> Result<Self> {
        let fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
        let mut options = fleet.stack_options()?;
        change(&mut options);
        let mut stack = Stack::start(options).await?;
        stack.wait_for_map("a complete map", discovery_map::DiscoveryMap::is_complete).await?;
        let pusher = Pusher::take_over(&mut stack)?;
        let asked = "kube-apiserver_cp-2".to_owned();
        let set = pusher.set_of(&asked)?;
        let mut scene = Self { fleet, stack, pusher, asked, set };
        let documents = scene.documents().await?;
        scene.pusher.push(&scene.stack, |map| map.documents = documents).await?;
        Ok(scene)
    }

    async fn documents(&self) -> Result<Vec<MergedDocument>> {
        let mut documents = Vec::new();
        for (path, form, _) in DOCUMENTS {
            let document = merged(path, form, self.set, &content(path, form))?;
            let is_root = matches!(path, "/api" | "/apis");
            let peer_etag = if is_root { Some(self.peer_etag(path).await?) } else { None };
            documents.push(MergedDocument { etag: etag(path, form), peer_etag, ..document });
        }
        Ok(documents)
    }

    /// The ETag of the asked peer's own aggregated document, without quotes.
    async fn peer_etag(&self, path: &str) -> Result<String> {
        let direct = self.fleet.client(&self.fleet.peers[1].url(), Http::Two)?;
        let answer = get(&direct, path, &[("accept", V2)]).await?.ok()?;
        Ok(answer.header("etag").context("no ETag")?.trim_matches('"').to_owned())
    }

    fn client(&self, http: Http) -> Result<Client> {
        self.fleet.client(&self.stack.url(), http)
    }

    async fn sent(&self, form: &str) -> Result<f64> {
        let label = format!("form=\"{form}\"");
        self.stack.envoy.metric("mixed_version_proxy_merged_documents_total", &[&label]).await
    }

    async fn sent_in_all(&self) -> Result<f64> {
        self.stack.envoy.metric("mixed_version_proxy_merged_documents_total", &[]).await
    }

    /// How often the peers of the asked cluster, or its twin, said this.
    async fn said(&self, twin: &str, status: u16) -> Result<u64> {
        let stat = format!("cluster.{}{twin}.upstream_rq_{status}", self.asked);
        Ok(self.stack.envoy.stat(&stat).await?.unwrap_or_default())
    }

    fn all_answer_with(&self, path: &str, canned: &Canned) {
        for peer in &self.fleet.peers {
            peer.answer_with(path, canned.clone());
        }
    }

    async fn is_sound(&mut self) -> Result<()> {
        for name in ["vm_reload", "vm_reload_failure", "vm_reload_success"] {
            let stat = format!("wasm.mixed-version-proxy.{name}");
            ensure!(self.stack.envoy.stat(&stat).await?.unwrap_or_default() == 0, "{name}");
        }
        let log = std::fs::read_to_string(self.stack.envoy.process().log())?;
        ensure!(!log.contains("panicked at"), "the filter panicked:\n{log}");
        Ok(())
    }
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    send(client, Method::GET, path, headers).await
}

async fn send(
    client: &Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer> {
    let request = client.request(method, path);
    let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
    client.send(request).await
}

fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
}

/// What a real server sends with a document of this form.
fn has_the_headers_of(answer: &Answer, path: &str, form: DocumentForm) {
    let aggregated = form != DocumentForm::Plain;
    let expected = match form {
        DocumentForm::Plain if path == "/openapi/v3" => "text/plain; charset=utf-8",
        DocumentForm::Plain => "application/json",
        DocumentForm::AggregatedV2 => V2,
        DocumentForm::AggregatedV2beta1 => V2BETA1,
    };
    if answer.status == StatusCode::OK {
        assert_eq!(all(answer, "content-type"), [expected], "{path}");
    }
    let cache = if aggregated { "public" } else { "no-cache, private" };
    assert_eq!(all(answer, "cache-control"), [cache], "{path}");
    assert_eq!(all(answer, "vary"), if aggregated { vec!["Accept"] } else { vec![] }, "{path}");
    let etag = etag(path, form).map(|etag| format!("\"{etag}\""));
    assert_eq!(answer.header("etag"), etag.as_deref(), "{path}");
    assert_eq!(all(answer, "date").len(), 1, "{path}");
    assert_eq!(answer.header(PEER_HEADER), Some("cp-2"), "what the peer says besides is lost");
    assert_eq!(answer.header("content-encoding"), None);
}

#[tokio::test]
async fn every_form_is_the_merged_one() -> Result<()> {
    let mut scene = Scene::start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            for round in 0..ROUNDS {
                let query = match (path, round % 2) {
                    (_, 0) => "",
                    ("/openapi/v3", _) => "?timeout=32s",
                    _ => "/?timeout=32s",
                };
                let answer = get(&client, &format!("{path}{query}"), &[("accept", accept)]).await?;
                assert_eq!(answer.status, StatusCode::OK, "{path} {accept}: {answer:?}");
                assert_eq!(answer.text().as_bytes(), content(path, form), "{path} {accept}");
                has_the_headers_of(&answer, path, form);
            }
        }
    }
    let times = 2.0 * ROUNDS as f64;
    assert_eq!(scene.sent("aggregated_v2").await?, 2.0 * times);
    assert_eq!(scene.sent("aggregated_v2beta1").await?, times);
    assert_eq!(scene.sent("plain").await?, 6.0 * times);
    // The roots cost the peer no body, whatever form the client gets.
    assert_eq!(scene.said("", 304).await?, 5 * 2 * ROUNDS as u64);
    assert_eq!(scene.stack.decisions("discovery", 9.0 * times).await?, 9.0 * times);
    scene.is_sound().await
}

#[tokio::test]
async fn a_client_that_has_the_merged_document_is_told_so() -> Result<()> {
    let mut scene = Scene::start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS.into_iter().take(3) {
            let own = format!("\"{}\"", etag(path, form).unwrap_or_default());
            let headers = [("accept", accept), ("if-none-match", &own)];
            for method in [Method::GET, Method::HEAD] {
                let answer = send(&client, method, path, &headers).await?;
                assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{path}");
                has_the_headers_of(&answer, path, form);
            }
            // The peer's own is not the client's; nor are other ways to say it.
            let peers = format!("\"{}\"", scene.peer_etag(path).await?);
            let list = format!("{own}, \"other\"");
            for other in [peers.as_str(), "*", &list, &format!("W/{own}"), ""] {
                let headers = [("accept", accept), ("if-none-match", other)];
                let answer = get(&client, path, &headers).await?;
                assert_eq!(answer.status, StatusCode::OK, "{path} {other}");
                assert_eq!(answer.text().as_bytes(), content(path, form));
            }
        }
        // What has no ETag is always sent, and as a whole.
        let headers = [
            ("if-none-match", "\"\""),
            ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
            ("range", "bytes=0-3"),
        ];
        let answer = get(&client, "/openapi/v3", &headers).await?;
        assert_eq!((answer.status.as_u16(), answer.header("content-range")), (200, None));
        assert_eq!(answer.body, content("/openapi/v3", DocumentForm::Plain));
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_large_document_is_compressed_for_whom_takes_it() -> Result<()> {
    let mut scene = Scene::start().await?;
    let mut large = b"[".to_vec();
    for number in 0..60_000_u32 {
        large.extend(format!("{number},").bytes());
    }
    large.extend(b"0]\n");
    ensure!(large.len() > 300_000);
    let peer_etag = Some(scene.peer_etag("/apis").await?);
    let (path, form) = ("/apis", DocumentForm::AggregatedV2);
    let document = merged(path, form, scene.set, &large)?;
    let document = MergedDocument { etag: etag(path, form), peer_etag, ..document };
    let plain = merged("/apis/apps/v1", DocumentForm::Plain, scene.set, &large)?;
    scene.pusher.push(&scene.stack, |map| map.documents = vec![document, plain]).await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, accept, vary) in [
            // Envoy puts the two that a server sends into one.
            ("/apis", V2, ["Accept,Accept-Encoding"]),
            ("/apis/apps/v1", "application/json", ["Accept-Encoding"]),
        ] {
            let headers = [("accept", accept), ("accept-encoding", "deflate, gzip")];
            let answer = get(&client, path, &headers).await?.ok()?;
            assert_eq!(answer.header("content-encoding"), Some("gzip"));
            assert_eq!(all(&answer, "vary"), vary);
            assert!(answer.body.len() < large.len() / 2);
            let mut inflated = Vec::new();
            GzDecoder::new(answer.body.as_slice()).read_to_end(&mut inflated)?;
            assert!(inflated == large);

            for encoding in ["identity", "br", "gzip;q=0.5"] {
                let headers = [("accept", accept), ("accept-encoding", encoding)];
                let answer = get(&client, path, &headers).await?.ok()?;
                assert_eq!(answer.header("content-encoding"), None);
                assert!(answer.body == large);
            }
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() -> Result<()> {
    let mut scene = Scene::start().await?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            // A server does not know HEAD of the others.
            if !matches!(path, "/api" | "/apis" | "/openapi/v3") {
                continue;
            }
            let answer = send(&client, Method::HEAD, path, &[("accept", accept)]).await?;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{path}");
            has_the_headers_of(&answer, path, form);
            client.get("/api/v1/nodes").await?.ok()?;
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn who_may_not_read_gets_what_the_server_says() -> Result<()> {
    let mut scene = Scene::start().await?;
    let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"}"#;
    for code in [401, 403, 405, 406, 429, 500, 503, 301] {
        let headers = [
            (reqwest::header::CONTENT_TYPE, "application/json".parse()?),
            (reqwest::header::WWW_AUTHENTICATE, "Bearer".parse()?),
        ];
        let canned = Canned {
            status: StatusCode::from_u16(code)?,
            headers: headers.into_iter().collect(),
            body: body.into(),
            ..Canned::default()
        };
        for (path, _, accept) in DOCUMENTS {
            scene.all_answer_with(path, &canned);
            for http in [Http::One, Http::Two] {
                let client = scene.client(http)?;
                for extra in [("x-none", ""), ("if-none-match", "*"), ("accept-encoding", "gzip")] {
                    let answer = get(&client, path, &[("accept", accept), extra]).await?;
                    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (code, body));
                    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
                    assert_eq!(answer.header("content-type"), Some("application/json"));
                    assert_eq!(answer.header("etag"), None);
                }
            }
        }
    }
    // A server that says that there is no such document is not believed.
    let denial = Canned {
        status: StatusCode::NOT_FOUND,
        headers: [(reqwest::header::CONTENT_TYPE, "text/plain".parse()?)].into_iter().collect(),
        body: b"404 page not found\n".to_vec(),
        ..Canned::default()
    };
    scene.all_answer_with("/apis/apps/v1", &denial);
    let answer = scene.client(Http::Two)?.get("/apis/apps/v1").await?;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!(scene.sent_in_all().await?, 0.0);
    scene.is_sound().await
}

/// To a client that speaks gRPC Envoy says its errors with the status 200.
#[tokio::test]
async fn an_error_of_envoys_own_lets_nobody_read() -> Result<()> {
    let mut scene = Scene::start().await?;
    scene.fleet.peer(1)?.stop().await;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            let headers = [("accept", accept), ("content-type", "application/grpc")];
            let answer = get(&client, path, &headers).await?;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            assert!(answer.header("grpc-status").is_some_and(|status| status != "0"), "{answer:?}");
            let document = String::from_utf8(content(path, form))?;
            assert!(!format!("{answer:?}").contains(document.trim_end()), "{path}: {answer:?}");
            assert!(answer.body.is_empty(), "{path}: {answer:?}");
        }
    }
    assert_eq!(scene.sent_in_all().await?, 0.0);
    scene.is_sound().await
}

#[tokio::test]
async fn other_forms_and_methods_pass_to_one_peer_as_they_are() -> Result<()> {
    let mut scene = Scene::start().await?;
    let direct = scene.fleet.client(&scene.fleet.peers[1].url(), Http::One)?;
    let through = scene.client(Http::One)?;
    let nopeer = format!("{V2};profile=nopeer,{V2},application/json");
    let etag = scene.peer_etag("/apis").await?;
    let quoted = format!("\"{etag}\"");
    let cases = [
        ("GET", "/apis", "application/yaml", ""),
        ("GET", "/apis", PROTOBUF, ""),
        ("GET", "/apis", nopeer.as_str(), ""),
        ("GET", "/apis", nopeer.as_str(), quoted.as_str()),
        ("GET", "/api", "text/html", ""),
        ("GET", "/api/v1", "application/yaml", ""),
        ("GET", "/apis/apps", PROTOBUF, ""),
        ("POST", "/apis/apps/v1", "application/json", ""),
        ("DELETE", "/api/v1", "application/json", ""),
        // Not merged, as all peers have the same one.
        ("GET", "/apis/batch", "application/json", ""),
        ("GET", "/apis/batch/v1", "application/json", ""),
    ];
    for (method, path, accept, if_none_match) in cases {
        let ask = async |client: &Client| {
            let method = Method::from_bytes(method.as_bytes())?;
            let mut request = client.request(method, path).header("accept", accept);
            if !if_none_match.is_empty() {
                request = request.header("if-none-match", if_none_match);
            }
            client.send(request).await
        };
        let expected = ask(&direct).await?;
        for _ in 0..2 {
            let found = ask(&through).await?;
            let case = format!("{method} {path} {accept}");
            assert_eq!((found.status, &found.body), (expected.status, &expected.body), "{case}");
            for name in ["content-type", "cache-control", "etag", "vary"] {
                assert_eq!(found.header(name), expected.header(name), "{case} {name}");
            }
        }
    }
    assert_eq!(scene.sent_in_all().await?, 0.0);
    scene.is_sound().await
}

#[tokio::test]
async fn a_server_whose_view_changed_a_moment_ago_authorizes_as_well() -> Result<()> {
    let mut scene = Scene::start().await?;
    scene.fleet.peers[1].drop_resource("apps", "v1", "daemonsets")?;
    for http in [Http::One, Http::Two] {
        let client = scene.client(http)?;
        for (path, form, accept) in DOCUMENTS {
            for _ in 0..ROUNDS {
                let answer = get(&client, path, &[("accept", accept)]).await?;
                assert_eq!(answer.text().as_bytes(), content(path, form), "{path} {accept}");
                has_the_headers_of(&answer, path, form);
            }
            // Nothing of the server's own document is left in the connection.
            client.get("/api/v1/nodes").await?.ok()?;
        }
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_client_with_a_certificate_gets_the_same() -> Result<()> {
    let mut scene = Scene::start().await?;
    let files = scene.fleet.pki().client("alice", "alice", &["dev"])?;
    for http in [Http::One, Http::Two] {
        let client = Client::new(&ClientOptions {
            url: scene.stack.url(),
            ca_pem: scene.fleet.pki().ca_pem(),
            token: None,
            certificate: Some(files.clone()),
            http,
        })?;
        for (path, form, accept) in DOCUMENTS {
            let answer = get(&client, path, &[("accept", accept)]).await?;
            assert_eq!(answer.text().as_bytes(), content(path, form), "{path} {accept}");
            has_the_headers_of(&answer, path, form);
        }
    }
    assert_eq!(scene.said("__front-proxy", 304).await?, 10);
    assert_eq!(scene.said("", 304).await?, 0);
    scene.is_sound().await
}

#[tokio::test]
async fn a_document_that_a_push_took_away_is_not_sent_half() -> Result<()> {
    let mut scene = Scene::start().await?;
    let slow = Canned { status: StatusCode::NOT_MODIFIED, ..Canned::default() };
    let slow = Canned { delay: Duration::from_secs(2), ..slow };
    scene.all_answer_with("/apis", &slow);
    let client = scene.client(Http::Two)?;
    let before = scene.fleet.peers[1].requests();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { get(&client, "/apis", &[("accept", V2)]).await }
    });
    wait::until("the server to be asked", Duration::from_secs(10), async || {
        ensure!(scene.fleet.peers[1].requests() > before, "not yet");
        anyhow::Ok(())
    })
    .await?;
    scene.pusher.push(&scene.stack, |map| map.documents.clear()).await?;
    // The 304 is to a question that the client did not ask.
    let answer = waiting.await??;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));

    for peer in &scene.fleet.peers {
        peer.answer_as_recorded();
    }
    let answer = get(&client, "/apis", &[("accept", V2)]).await?.ok()?;
    assert_eq!(
        answer.header("etag"),
        Some(format!("\"{}\"", scene.peer_etag("/apis").await?)).as_deref()
    );
    scene.is_sound().await
}

#[tokio::test]
async fn a_document_that_changes_is_the_new_one_at_once() -> Result<()> {
    let mut scene = Scene::start().await?;
    let client = scene.client(Http::Two)?;
    for round in 0..5 {
        let (path, form) = ("/apis", DocumentForm::AggregatedV2);
        let changed = format!("{{\"round\":{round}}}");
        let document = merged(path, form, scene.set, changed.as_bytes())?;
        let position =
            scene.pusher.map.documents.iter().position(|d| d.form == form && d.path == path);
        let position = position.context("no such document")?;
        let change = |map: &mut discovery_map::MapDocument| {
            let old = &mut map.documents[position];
            old.etag = Some(format!("R{round}"));
            (old.size, old.gzip) = (document.size, document.gzip.clone());
        };
        scene.pusher.push(&scene.stack, change).await?;
        for _ in 0..ROUNDS {
            let answer = get(&client, path, &[("accept", V2)]).await?.ok()?;
            assert_eq!(
                (answer.text(), answer.header("etag")),
                (changed.clone(), Some(format!("\"R{round}\"").as_str()))
            );
        }
        let other = get(&client, "/api/v1", &[]).await?.ok()?;
        assert_eq!(other.body, content("/api/v1", DocumentForm::Plain));
    }
    scene.is_sound().await
}

#[tokio::test]
async fn a_map_whose_documents_are_not_what_it_says_is_refused() -> Result<()> {
    let mut scene = Scene::start().await?;
    let good = scene.pusher.map.clone();
    let client = scene.client(Http::Two)?;
    let rejected = "extension_config_discovery.http_filter.mixed-version-proxy.update_rejected";
    let damages: [fn(&mut MergedDocument); 4] = [
        |document| document.size += 1,
        |document| document.size -= 1,
        |document| document.gzip = "AAAA".into(),
        |document| document.set = 99,
    ];
    for damage in damages {
        let before = scene.stack.envoy.stat(rejected).await?.unwrap_or_default();
        scene.pusher.map.documents = good.documents.clone();
        damage(&mut scene.pusher.map.documents[0]);
        scene.pusher.write()?;
        wait::until("the map to be refused", Duration::from_secs(20), async || {
            let now = scene.stack.envoy.stat(rejected).await?.unwrap_or_default();
            ensure!(now > before, "{now}");
            anyhow::Ok(())
        })
        .await?;
        assert_eq!(scene.stack.generation().await?, good.generation);
        for (path, form, accept) in DOCUMENTS {
            let answer = get(&client, path, &[("accept", accept)]).await?;
            assert_eq!(answer.text().as_bytes(), content(path, form));
        }
    }
    scene.pusher.push(&scene.stack, |map| map.documents = good.documents.clone()).await?;
    Ok(())
}

#[tokio::test]
async fn open_api_documents_come_from_who_answers_for_them() -> Result<()> {
    let mut scene = Scene::start().await?;
    let set = scene.set;
    let (v2, v3) = ("/openapi/v2", "/openapi/v3/apis/apps/v1");
    for peer in &scene.fleet.peers {
        for path in [v2, v3, "/openapi/v3/version"] {
            let body = peer.name().as_bytes().to_vec();
            peer.answer_with(path, Canned { body, ..Canned::default() });
        }
    }
    scene
        .pusher
        .push(&scene.stack, |map| {
            map.widest_view = 0;
            let v3 = [("apis/apps/v1".into(), set)].into();
            map.open_api = OpenApi { v2: Some(set), v3 };
        })
        .await?;
    let client = scene.client(Http::Two)?;
    let mut others = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS {
        for path in [v2, v3, "/openapi/v3/apis/apps/v1?hash=0A1B"] {
            let accept = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
            let answer = get(&client, path, &[("accept", accept)]).await?.ok()?;
            assert_eq!(answer.text(), "cp-2", "{path}");
        }
        others.insert(client.get("/openapi/v3/version").await?.ok()?.text());
    }
    assert_eq!(others.len(), 2, "{others:?}");
    scene.is_sound().await
}
