//! A kube-apiserver as a companion sees it: a fake API server whose types a test
//! chooses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use fake_apiserver::recordings::Recording;
use fake_apiserver::replay::{
    Canned, CannedEnd, Crd, CrdVersion, OpenApiDocument, ReplayOptions, ReplayPeer, Rules,
};
use pki::Pki;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CONFIG_MAP: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// The behavior of a peer; a test can change it while the peer runs.
#[derive(Clone, Debug)]
pub struct Behavior {
    pub ready: bool,
    /// The token that a client must present; none if empty.
    pub token: String,
    /// `group/version/resource`; a group without a name is in `/api`.
    pub types: Vec<String>,
    /// Answers with the older lists, without `ETag`.
    pub legacy: bool,
    /// What it answers at these paths (JSON).
    pub answers: BTreeMap<String, String>,
    /// How `/apis` goes wrong.
    pub fault: Option<Fault>,
    /// How `/openapi/v3` goes wrong, which does not exist otherwise.
    pub open_api_fault: Option<Fault>,
    /// Its documents of OpenAPI v3, by their paths below `/openapi/v3/`.
    pub open_api: BTreeMap<String, OpenApiDocument>,
    /// How requests for those documents go wrong.
    pub open_api_document_fault: Option<Fault>,
    /// How `/version` goes wrong.
    pub version_fault: Option<Fault>,
    /// The `data` of the `ConfigMap` with the names of the identity headers.
    pub config_map: Result<serde_json::Value, StatusCode>,
}

/// A way in which an answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Redirects the client to a path that does not exist.
    Redirect,
    /// Never ends its answer.
    Endless,
    /// Begins its answer and then sends nothing more.
    Stalled,
    /// Ends in the middle.
    Truncated,
    /// Answers something else altogether.
    Garbage,
    /// Breaks the connection, a second after the request.
    Broken,
}

impl Fault {
    /// Returns a `polling.timeout` with which this fault is seen soon, although no other answer takes
    /// too long on a busy machine.
    pub fn timeout(self) -> &'static str {
        if self == Self::Stalled { "5s" } else { "30s" }
    }

    fn answer(self) -> Canned {
        let begin = br#"{"kind":"APIGroupDiscoveryList","items":["#.to_vec();
        let canned = Canned { body: begin, ..Canned::default() };
        match self {
            Self::Redirect => {
                let location = HeaderValue::from_static("/elsewhere");
                let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
                Canned { status: StatusCode::FOUND, headers, ..Canned::default() }
            }
            Self::Endless => Canned { end: CannedEnd::Endless, ..canned },
            Self::Stalled => Canned { end: CannedEnd::Stalled, ..canned },
            Self::Truncated => canned,
            Self::Broken => {
                Canned { end: CannedEnd::Broken, delay: Duration::from_secs(1), ..canned }
            }
            Self::Garbage => Canned { body: b"\xff\x00{]".to_vec(), ..canned },
        }
    }
}

pub struct Authority {
    pub pem: String,
    pki: Arc<Pki>,
    _folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::create(folder.path()).unwrap();
        Self { pem: pki.ca_pem(), pki: Arc::new(pki), _folder: folder }
    }

    /// A certificate and its key (PEM).
    pub fn issue(&self, name: &str) -> (String, String) {
        let files = self.pki.for_any_purpose(name, name).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        (read(files.certificate), read(files.key))
    }
}

pub struct Peer {
    pub address: SocketAddr,
    behavior: Mutex<Behavior>,
    peer: ReplayPeer,
    runtime: Runtime,
}

impl Peer {
    pub fn start(authority: &Authority, types: &[&str]) -> Self {
        Self::start_as(authority, "kubernetes", types)
    }

    pub fn start_as(authority: &Authority, certificate_name: &str, types: &[&str]) -> Self {
        Self::start_with(authority, certificate_name, false, types)
    }

    /// Starts one that requires a client certificate and no token.
    pub fn start_mutual(authority: &Authority, types: &[&str]) -> Self {
        let peer = Self::start_with(authority, "kubernetes", true, types);
        peer.change(|behavior| behavior.token.clear());
        peer
    }

    fn start_with(authority: &Authority, name: &str, mutual: bool, types: &[&str]) -> Self {
        let certificate = authority.pki.for_any_purpose("peer", name).unwrap();
        let mut options = ReplayOptions::new("peer", Recording::empty("v1.2.3"), certificate);
        options.client_ca_pem = mutual.then(|| authority.pem.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let peer = runtime.block_on(ReplayPeer::start(options)).unwrap();
        let behavior = Behavior {
            ready: true,
            token: "secret".to_owned(),
            types: types.iter().map(|&name| name.to_owned()).collect(),
            legacy: false,
            answers: BTreeMap::new(),
            fault: None,
            open_api_fault: None,
            open_api: BTreeMap::new(),
            open_api_document_fault: None,
            version_fault: None,
            config_map: Err(StatusCode::NOT_FOUND),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], peer.port()));
        let peer = Self { address, behavior: Mutex::new(behavior), peer, runtime };
        peer.change(|_| ());
        peer
    }

    /// Listens again on the same port.
    pub fn restart(&mut self) {
        self.runtime.block_on(self.peer.start_again()).unwrap();
    }

    /// Closes the port and all connections at once.
    pub fn kill(&mut self) {
        self.runtime.block_on(self.peer.stop());
    }

    pub fn change(&self, change: impl FnOnce(&mut Behavior)) {
        let mut behavior = self.behavior.lock().unwrap();
        change(&mut behavior);
        self.peer.set_ready(behavior.ready);
        self.peer.set_rules(Rules {
            token: Some(behavior.token.clone()).filter(|token| !token.is_empty()),
            own_view_only: true,
            older_forms_only: behavior.legacy,
        });
        let faults = [
            ("/apis", behavior.fault),
            ("/openapi/v3", behavior.open_api_fault),
            ("/version", behavior.version_fault),
        ];
        let faults = faults.into_iter().filter_map(|(path, fault)| Some((path, fault?.answer())));
        let answers = faults.chain([(CONFIG_MAP, config_map(&behavior.config_map))]);
        let answers = answers.map(|(path, answer)| (path.to_owned(), answer));
        let fault = behavior.open_api_document_fault.map(Fault::answer);
        let documents = behavior.open_api.keys().map(|path| format!("/openapi/v3/{path}"));
        let documents = documents.filter_map(|path| Some((path, fault.clone()?)));
        let fixed = behavior.answers.iter().map(|(path, json)| {
            (path.clone(), Canned { body: json.clone().into_bytes(), ..Canned::default() })
        });
        self.peer.answer_only(answers.chain(documents).chain(fixed));
        self.peer.set_open_api(behavior.open_api.clone());
        self.peer.set_crds(behavior.types.iter().map(|name| crd(name)).collect()).unwrap();
    }

    /// Returns the number of discovery documents that were sent whole, and not as a 304.
    pub fn full_answers(&self) -> u64 {
        self.peer.whole_documents()
    }
}

fn config_map(data: &Result<serde_json::Value, StatusCode>) -> Canned {
    match data {
        Ok(data) => {
            let body = json!({ "kind": "ConfigMap", "data": data }).to_string().into_bytes();
            Canned { body, ..Canned::default() }
        }
        Err(status) => Canned { status: *status, ..Canned::default() },
    }
}

/// Returns a type whose document is as long as real ones, because memory is measured.
fn crd(name: &str) -> Crd {
    let mut parts = name.splitn(3, '/');
    let mut next = || parts.next().unwrap().to_owned();
    let (group, version, plural) = (next(), next(), next());
    let mut crd = Crd::new(&group, "SomeKindOfThingWithALongName");
    crd.plural = plural;
    crd.versions = vec![CrdVersion { name: version, subresources: vec!["status".to_owned()] }];
    crd
}
