//! The page, as HTML: that it has what it must, and that nobody's words are markup.

use std::time::Duration;

use discovery_map::{MapDocument, PeerEntry, PeerState, SetEntry};
use maud::html;

use super::control_plane::Model;
use super::document::Page;
use super::{control_planes, envoys, matrix};
use crate::ads::Envoys;
use crate::facts::PeerStatus;
use crate::history::{Change, History};
use crate::publish::{Outcome, Publication};
use crate::serve::control_planes::{ControlPlaneState, ControlPlanes};

const GOLDEN: &str = include_str!("../../../../discovery-map/golden/map.json");

/// What somebody would write who wants to get into the page.
const HOSTILE: &str = "</span><script>alert(1)</script><img src=x onerror='alert(2)'>\"&";

fn peer(name: &str, state: PeerState) -> PeerStatus {
    PeerStatus {
        name: name.to_owned(),
        address: ([10, 0, 0, 1], 6443).into(),
        state,
        left: false,
        forgotten: false,
        version: Some("v1.37.2".into()),
        minor_version: Some(api_discovery::MinorVersion::new(1, 36)),
        answering: true,
        discovery_known: true,
        types: 7,
        last_answer_seconds_ago: Some(3723),
        absent_seconds: 0,
        last_error: Some(format!("no route {HOSTILE}")),
    }
}

/// A map in which the second peer is out of rotation, and types have hostile names.
fn map() -> MapDocument {
    let mut map: MapDocument = serde_json::from_str(GOLDEN).unwrap();
    let entry = |name: &str, state| PeerEntry { name: name.to_owned(), state, version: None };
    map.peers = vec![entry("a", PeerState::Serving), entry(HOSTILE, PeerState::Unreachable)];
    map.default_cluster = "all".to_owned();
    let set = |peers: &[u16], cluster: Option<&str>| SetEntry {
        peers: peers.to_vec(),
        cluster: cluster.map(str::to_owned),
        at_least: Default::default(),
    };
    map.sets = vec![set(&[0], Some("all")), set(&[0], Some("a")), set(&[1], None)];
    let types = serde_json::json!({
        "": {"v1": {"0": {"ns": ["pods"]}}},
        "apps": {"v1": {"1": {"ns": ["only", HOSTILE]}, "2": {"cluster": ["orphans"]}}},
    });
    map.groups = serde_json::from_value(types).unwrap();
    map.verbs = serde_json::from_str(r#"{"/v1/pods": {"patch": 1}}"#).unwrap();
    map
}

fn model(name: &str, beside_others: bool) -> Model<'_> {
    let history = History::new(Duration::from_millis(1000));
    let changes = (0..40).map(|n| Change::PublishFailed { reason: format!("{n} {HOSTILE}") });
    history.add(Duration::from_secs(1), changes.collect());
    let publication =
        Publication { map: map().into(), skewed_targets: 4, at: Duration::from_secs(86_400) };
    Model {
        name,
        beside_others,
        peers: vec![peer("a", PeerState::Serving), peer(HOSTILE, PeerState::NotReady)],
        answering: None,
        outcome: Outcome { publication: Some(publication), error: Some(HOSTILE.to_owned()) },
        source: None,
        record: history.follow().borrow().clone(),
        envoys: Vec::new(),
        now: Duration::from_secs(90_000),
    }
}

fn document(model: &Model<'_>) -> String {
    let (title, events, now) = (model.name, Some(model.events()), model.now);
    Page { title, events, now, sections: model.render() }.render().into_string()
}

#[test]
fn the_page_has_everything_without_its_script() {
    let page = document(&model("blue", false));
    let has = |text: &str| assert!(page.contains(text), "{text}\n{page}");
    has("<h1>blue</h1>");
    has("1970-01-02 01:00:00 UTC");
    has("<dt>Answering version</dt><dd>any</dd>");
    has("<dt>Peers in rotation</dt><dd>1 of 2</dd>");
    has("v1.37.2 <span class=\"note\">serves 1.36</span>");
    has("1h 2m ago");
    has("data-events=\"/v1/events?after=1039\"");
    has("<summary>25 earlier changes</summary>");
    has("sum by (decision) (rate(mixed_version_proxy_requests_total[5m]))");
    assert!(
        document(&model("blue", true)).contains("\"/v1/control-planes/blue/events?after=1039\"")
    );
}

#[test]
fn the_matrix_says_who_serves_what_only_some_serve() {
    let rows = matrix::rows(&map());
    let rows: Vec<_> = rows.iter().map(|row| (row.title.as_str(), row.served.as_slice())).collect();
    let expected: [(&str, &[bool]); 3] = [
        ("apps/v1", &[true, false]),
        ("apps/v1", &[false, true]),
        ("patch of v1/pods", &[true, false]),
    ];
    assert_eq!(rows, expected);
    let text = matrix::render(&map()).into_string();
    assert!(text.contains(r#"<td class="was">served</td>"#), "{text}");
    assert!(text.contains("orphaned"), "{text}");
    let even = MapDocument { groups: Default::default(), verbs: Default::default(), ..map() };
    assert!(matrix::render(&even).into_string().contains("serves the same types"));
}

#[test]
fn text_from_other_programs_is_escaped() {
    let envoys = Envoys::default();
    let entry = envoys.enter(Vec::new(), "delta");
    let node = envoy_types::pb::envoy::config::core::v3::Node {
        id: HOSTILE.to_owned(),
        ..Default::default()
    };
    entry.introduce(&node, None);
    entry.refused(crate::ads::Kind::Filter, "blue", HOSTILE);
    let shown = envoys.view().of_control_plane("blue");
    let control_planes = ControlPlanes::default();
    control_planes.is("blue", ControlPlaneState::Stopped, Some(HOSTILE.to_owned()));
    let others = html! {
        (envoys::render(&shown, Some(7)))
        (control_planes::render(&control_planes.shown()))
    };
    let all = document(&model("blue", false)) + &others.into_string();
    assert_eq!(all.matches("&lt;script&gt;alert(1)").count(), 2 + 1 + 3 + 40 + 3, "{all}");
    assert!(!all.contains("<script>alert") && !all.contains("<img"), "{all}");
    assert_eq!(all.matches("<script>").count(), 1);
}

#[tokio::test]
async fn a_browser_may_run_the_script_of_the_page_and_nothing_else() {
    let page = Page { title: "x", events: None, now: Duration::ZERO, sections: html! {} }.answer();
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let body = axum::body::to_bytes(page.into_body(), 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    for (begin, end) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let content = body.split_once(begin).unwrap().1.split_once(end).unwrap().0;
        let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
        let hash = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, digest);
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    }
    for other in ["http://", "https://", "url(", "@import", " style=\"", "onclick"] {
        assert!(!body.contains(other), "{other}");
    }
}
