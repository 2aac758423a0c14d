//! An ADS client in Envoy's place, by the real protocol: it asks for what Envoy asks for, in the
//! same order. Thousands of them fit into one process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use envoy_types::pb::google::rpc::Status;
use hyper_util::rt::TokioIo;
use pki::{CertificateFiles, Pki};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::ads::loopback;

/// The types, as Envoy asks for them.
pub const CLUSTERS: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// The endpoints of clusters.
pub const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// Certificates.
pub const SECRETS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// Listeners.
pub const LISTENERS: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// The filter with its map.
pub const FILTER: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";

/// The time in which a companion answers; a loaded machine gets time.
const DEADLINE: Duration = Duration::from_secs(30);

/// The name of the filter.
const FILTER_NAME: &str = "mixed-version-proxy";

/// An ADS client.
#[derive(Debug)]
pub struct Simulated {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
    /// What it has, by type and name.
    pub has: BTreeMap<String, BTreeMap<String, Resource>>,
    asked: BTreeSet<(String, String)>,
}

/// Returns what a connection with this certificate is made with, to a companion of this authority.
/// Fails if a file cannot be read.
pub fn tls(pki: &Pki, files: &CertificateFiles) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.ca_file())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![files.certificate()?],
            PrivateKeyDer::from_pem_file(&files.key)?,
        )?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

impl Simulated {
    /// Connects to a companion and asks for the clusters and the filter, as the node `name`. Fails if
    /// it is refused, or not answered in time.
    pub async fn connect(port: u16, tls: Arc<ClientConfig>, name: &str) -> Result<Self> {
        let node = Node { id: name.to_owned(), cluster: "fleet".to_owned(), ..Node::default() };
        Self::connect_as(port, tls, node).await
    }

    /// Connects to a companion as this node. Fails if it is refused, or not answered in time.
    pub async fn connect_as(port: u16, tls: Arc<ClientConfig>, node: Node) -> Result<Self> {
        let name = node.id.clone();
        let connected = timeout(DEADLINE, Self::open(port, tls, node)).await;
        connected.with_context(|| format!("{name} is not answered"))?
    }

    /// Connects to a companion and asks for all that an Envoy asks for that gets these control planes.
    /// Fails if it is refused, or not answered in time.
    pub async fn connect_for(
        port: u16,
        tls: Arc<ClientConfig>,
        name: &str,
        control_planes: &[String],
    ) -> Result<Self> {
        let metadata = Some(metadata(control_planes));
        let node = Node { id: name.to_owned(), metadata, ..Node::default() };
        let mut simulated = Self::connect_as(port, tls, node).await?;
        simulated.ask(LISTENERS, ["*".to_owned()]).await?;
        let filters = control_planes.iter().map(|name| format!("{FILTER_NAME}/{name}"));
        let filters = filters.flat_map(|name| [format!("{name}/connections"), name]);
        simulated.ask(FILTER, filters).await?;
        Ok(simulated)
    }

    async fn open(port: u16, tls: Arc<ClientConfig>, node: Node) -> Result<Self> {
        let connector = tower::service_fn(move |_| {
            let tls = TlsConnector::from(Arc::clone(&tls));
            async move {
                let stream = TcpStream::connect(loopback(port)).await?;
                let name = ServerName::try_from("companion").map_err(std::io::Error::other)?;
                std::io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://companion");
        let channel = endpoint.connect_with_connector(connector).await?;
        let mut client =
            AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let (requests, receiver) = mpsc::channel(64);
        let first = DeltaDiscoveryRequest {
            node: Some(node),
            type_url: CLUSTERS.to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        requests.send(first).await?;
        let responses = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await?;
        let (has, asked) = (BTreeMap::new(), BTreeSet::new());
        let mut simulated = Self { requests, responses: responses.into_inner(), has, asked };
        // If the stream has ended, whoever waits for a response is told why.
        simulated.ask(FILTER, [FILTER_NAME.to_owned()]).await.ok();
        Ok(simulated)
    }

    /// Asks for resources by their names, unless it has asked before.
    pub async fn ask(
        &mut self,
        type_url: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        let new = |name: &String| self.asked.insert((type_url.to_owned(), name.clone()));
        let names: Vec<_> = names.into_iter().filter(new).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.send(DeltaDiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names_subscribe: names,
            ..DeltaDiscoveryRequest::default()
        })
        .await
    }

    async fn send(&self, request: DeltaDiscoveryRequest) -> Result<()> {
        self.requests.send(request).await.context("the stream has ended")
    }

    /// Waits for the next response. Fails if the stream ends.
    pub async fn response(&mut self) -> Result<DeltaDiscoveryResponse> {
        self.responses.message().await?.context("the companion ended the stream")
    }

    /// Takes a response into use, asks for what its resources name, and acknowledges it.
    pub async fn accept(&mut self, response: DeltaDiscoveryResponse) -> Result<()> {
        let DeltaDiscoveryResponse { type_url, nonce, resources, removed_resources, .. } = response;
        if type_url == CLUSTERS {
            let names: Vec<_> = resources.iter().map(|resource| resource.name.clone()).collect();
            self.ask(ENDPOINTS, names).await?;
            let secrets: BTreeSet<_> = resources.iter().filter_map(peer_ca).collect();
            self.ask(SECRETS, secrets).await?;
        }
        let has = self.has.entry(type_url.clone()).or_default();
        for name in removed_resources {
            has.remove(&name);
            self.asked.remove(&(ENDPOINTS.to_owned(), name));
        }
        has.extend(resources.into_iter().map(|resource| (resource.name.clone(), resource)));
        self.send(DeltaDiscoveryRequest {
            type_url,
            response_nonce: nonce,
            ..DeltaDiscoveryRequest::default()
        })
        .await
    }

    /// Keeps the versions of what it has, and not what is in it.
    pub fn forget_contents(&mut self) {
        let all = self.has.values_mut().flat_map(BTreeMap::values_mut);
        all.for_each(|resource| resource.resource = None);
    }

    /// Refuses a response.
    pub async fn refuse(&mut self, response: DeltaDiscoveryResponse, reason: &str) -> Result<()> {
        let status = Status { code: 3, message: reason.to_owned(), ..Status::default() };
        self.send(DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail: Some(status),
            ..DeltaDiscoveryRequest::default()
        })
        .await
    }

    /// Accepts everything until it has a filter of another version than `before`. Returns that of
    /// the new one.
    pub async fn next_map(&mut self, before: Option<&str>) -> Result<String> {
        loop {
            let has = self.has.get(FILTER).and_then(|all| all.get(FILTER_NAME));
            match has {
                Some(filter) if Some(filter.version.as_str()) != before => {
                    return Ok(filter.version.clone());
                }
                _ => {}
            }
            let response = self.response().await?;
            self.accept(response).await?;
        }
    }
}

/// Returns the metadata of an Envoy that asks for these control planes.
fn metadata(control_planes: &[String]) -> Struct {
    let value = |kind| Value { kind: Some(kind) };
    let mapping = |name: &str, value| Struct { fields: [(name.to_owned(), value)].into() };
    let names = control_planes.iter().map(|name| value(Kind::StringValue(name.clone())));
    let list = value(Kind::ListValue(ListValue { values: names.collect() }));
    let own = value(Kind::StructValue(mapping("controlPlanes", list)));
    mapping("mixed-version-proxy", own)
}

/// Returns the secret that a cluster names, which has a fingerprint of 16 digits.
fn peer_ca(cluster: &Resource) -> Option<String> {
    const PREFIX: &[u8] = b"peer-ca-";
    let bytes = &cluster.resource.as_ref()?.value;
    let at = bytes.windows(PREFIX.len()).position(|window| window == PREFIX)?;
    let name = bytes.get(at..at + PREFIX.len() + 16)?;
    String::from_utf8(name.to_vec()).ok()
}
