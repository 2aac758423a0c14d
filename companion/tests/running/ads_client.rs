//! An ADS client in Envoy's place: it asks for what Envoy asks for, accepts everything, and notes
//! what it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::peers::Authority;

pub const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub const LISTENERS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
pub const SECRETS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
pub const FILTERS: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

/// What a client has, and what it was sent to get there.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// By type and name.
    pub resources: BTreeMap<(String, String), Resource>,
    /// The name of each resource that it was sent or lost, in order.
    pub changes: Vec<String>,
}

impl Held {
    pub fn names(&self, type_url: &str) -> Vec<&str> {
        let all = self.resources.keys().filter(|(of, _)| of == type_url);
        all.map(|(_, name)| name.as_str()).collect()
    }

    /// Whether the body of a resource contains a text.
    pub fn says(&self, type_url: &str, name: &str, text: &str) -> bool {
        let resource = self.resources.get(&(type_url.to_owned(), name.to_owned()));
        resource.is_some_and(|resource| contains(&body(resource), text))
    }
}

pub struct AdsClient {
    held: Arc<Mutex<Held>>,
    _runtime: Runtime,
}

impl AdsClient {
    /// Connects with a certificate for `envoy`.
    pub fn connect(authority: &Authority, address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let held = Arc::new(Mutex::new(Held::default()));
        let tls = tls(authority);
        runtime.spawn(serve(address, tls, Arc::clone(&held)));
        Self { held, _runtime: runtime }
    }

    pub fn held(&self) -> Held {
        self.held.lock().unwrap().clone()
    }

    /// What it is sent from now on is noted anew.
    pub fn forget_changes(&self) {
        self.held.lock().unwrap().changes.clear();
    }
}

fn tls(authority: &Authority) -> Arc<ClientConfig> {
    let (certificate, key) = authority.issue("envoy");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Serves one stream. Ends with it.
async fn serve(address: SocketAddr, tls: Arc<ClientConfig>, held: Arc<Mutex<Held>>) {
    let connector = tower::service_fn(move |_| {
        let tls = TlsConnector::from(Arc::clone(&tls));
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("companion").unwrap();
            std::io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
        }
    });
    let endpoint = Endpoint::from_static("http://companion");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    let (requests, receiver) = mpsc::channel(256);
    let node = Some(Node { id: "envoy-1".to_owned(), ..Node::default() });
    for (type_url, node) in [(CLUSTERS, node), (LISTENERS, None)] {
        let type_url = type_url.to_owned();
        requests
            .send(DeltaDiscoveryRequest { node, type_url, ..Default::default() })
            .await
            .unwrap();
    }
    let responses = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await;
    let mut responses = responses.unwrap().into_inner();
    let mut asked = BTreeSet::new();
    while let Ok(Some(response)) = responses.message().await {
        let wanted = names(&response);
        let new: Vec<_> = wanted.into_iter().filter(|one| asked.insert(one.clone())).collect();
        for (type_url, name) in new {
            let request = DeltaDiscoveryRequest {
                type_url: type_url.to_owned(),
                resource_names_subscribe: vec![name],
                ..Default::default()
            };
            drop(requests.send(request).await);
        }
        for removed in &response.removed_resources {
            asked.retain(|(_, name)| name != removed);
        }
        let DeltaDiscoveryResponse { type_url, nonce, .. } = response.clone();
        note(&mut held.lock().unwrap(), response);
        let request =
            DeltaDiscoveryRequest { type_url, response_nonce: nonce, ..Default::default() };
        drop(requests.send(request).await);
    }
}

fn note(held: &mut Held, response: DeltaDiscoveryResponse) {
    let type_url = response.type_url;
    for name in response.removed_resources {
        held.resources.remove(&(type_url.clone(), name.clone()));
        held.changes.push(name);
    }
    for resource in response.resources {
        held.changes.push(resource.name.clone());
        held.resources.insert((type_url.clone(), resource.name.clone()), resource);
    }
}

/// What the resources of a response name, by type: Envoy asks for that.
fn names(response: &DeltaDiscoveryResponse) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for resource in &response.resources {
        match &*response.type_url {
            CLUSTERS => {
                all.push((ENDPOINTS, resource.name.clone()));
                let secrets = words(&body(resource)).into_iter();
                let secrets = secrets.filter(|word| word.contains("/peer-ca-"));
                all.extend(secrets.map(|name| (SECRETS, name)));
            }
            LISTENERS => {
                for word in words(&body(resource)) {
                    if word.ends_with("/client-ca") {
                        all.push((SECRETS, word));
                    } else if word.ends_with("/connections") {
                        all.push((FILTERS, word));
                    }
                }
            }
            FILTERS => {
                let filter = resource.name.strip_suffix("/connections");
                all.extend(filter.map(|name| (FILTERS, name.to_owned())));
            }
            _ => {}
        }
    }
    all
}

/// The message of a resource.
fn body(resource: &Resource) -> Vec<u8> {
    resource.resource.as_ref().map(|any| any.value.clone()).unwrap_or_default()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The names in an encoded message. In front of each is its length, which can look like a letter.
fn words(bytes: &[u8]) -> Vec<String> {
    let is_word =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-/_".contains(byte);
    let mut words = Vec::new();
    for (at, length) in bytes.iter().enumerate() {
        let word = bytes.get(at + 1..at + 1 + usize::from(*length));
        if let Some(word) = word.filter(|word| word.len() > 2 && word.iter().all(is_word)) {
            words.push(String::from_utf8(word.to_vec()).unwrap());
        }
    }
    words
}
