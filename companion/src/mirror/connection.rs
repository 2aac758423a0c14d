//! A stream of ADS to a companion.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3 as pb;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

use super::set::Set;
use crate::ads::{Kind, LARGEST_RESPONSE, MIRROR, WILDCARD, asking};
use crate::causes::with_causes;
use crate::certificates::{Certificates, FileError, KeyPair};
use crate::config::{Companions, MirrorConfig};

/// The time in which a companion must answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{0}")]
    Refused(String),
    #[error("there was no answer in {ANSWER:?}")]
    Timeout,
}

/// A stream that is open.
pub struct Connection {
    requests: mpsc::Sender<pb::DeltaDiscoveryRequest>,
    responses: Streaming<pb::DeltaDiscoveryResponse>,
}

impl Connection {
    /// Opens a stream to a companion, and asks for what differs from `set`. The files of the
    /// certificates are read anew.
    pub async fn open(
        config: &MirrorConfig,
        address: &str,
        set: &Set,
    ) -> Result<Self, ConnectError> {
        let tls = tls(&config.companions)?;
        let opened = open(&config.companions, address, tls, requests(config, set));
        timeout(ANSWER, opened).await.map_err(|_| ConnectError::Timeout)?
    }

    /// Waits for a response. An error ends the stream.
    pub async fn response(&mut self) -> Result<pb::DeltaDiscoveryResponse, String> {
        match self.responses.message().await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err("the companion ended the stream".to_owned()),
            Err(status) => Err(status.message().to_owned()),
        }
    }

    /// Acknowledges a response.
    pub async fn acknowledge(&self, kind: Kind, nonce: String) {
        // If the stream has ended, the next look at it says so.
        drop(self.requests.send(request(kind, nonce)).await);
    }
}

async fn open(
    companions: &Companions,
    address: &str,
    tls: Arc<ClientConfig>,
    first: Vec<pb::DeltaDiscoveryRequest>,
) -> Result<Connection, ConnectError> {
    let refused =
        |error: &(dyn std::error::Error + 'static)| ConnectError::Refused(with_causes(error));
    let name = companions.server_name.to_string();
    let address = address.to_owned();
    let connector = tower::service_fn(move |_| {
        let (tls, name, address) = (Arc::clone(&tls), name.clone(), address.clone());
        async move { connect(&address, name, tls).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://companion")
        .http2_keep_alive_interval(Duration::from_secs(15))
        .keep_alive_timeout(ANSWER)
        .keep_alive_while_idle(true);
    let channel = endpoint.connect_with_connector(connector).await;
    let channel = channel.map_err(|error| refused(&error))?;
    let mut client =
        AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(LARGEST_RESPONSE);
    let (requests, receiver) = mpsc::channel(first.len() + Kind::ALL.len());
    for request in first {
        drop(requests.try_send(request));
    }
    let responses = client.delta_aggregated_resources(ReceiverStream::new(receiver)).await;
    let responses =
        responses.map_err(|status| ConnectError::Refused(status.message().to_owned()))?;
    Ok(Connection { requests, responses: responses.into_inner() })
}

async fn connect(
    address: &str,
    name: String,
    tls: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(tls).connect(name, stream).await
}

fn tls(companions: &Companions) -> Result<Arc<ClientConfig>, ConnectError> {
    let roots = Certificates::read(&companions.ca_file)?.roots();
    let pair = KeyPair::read(&companions.pair)?;
    let key = pair.private_key();
    let key = key.map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(pair.certificates().der().to_vec(), key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Returns the first request of each type: for all of it, with what is known already.
fn requests(config: &MirrorConfig, set: &Set) -> Vec<pb::DeltaDiscoveryRequest> {
    let first = |kind: Kind| pb::DeltaDiscoveryRequest {
        resource_names_subscribe: vec![WILDCARD.to_owned()],
        initial_resource_versions: set.versions(kind).collect(),
        ..request(kind, String::new())
    };
    let mut requests: Vec<_> = Kind::ALL.into_iter().map(first).collect();
    if let Some(request) = requests.first_mut() {
        request.node = Some(Node {
            id: config.node.clone(),
            user_agent_name: MIRROR.to_owned(),
            metadata: config.control_planes.as_ref().map(asking),
            ..Node::default()
        });
    }
    requests
}

fn request(kind: Kind, nonce: String) -> pb::DeltaDiscoveryRequest {
    pb::DeltaDiscoveryRequest {
        type_url: kind.url().to_owned(),
        response_nonce: nonce,
        ..pb::DeltaDiscoveryRequest::default()
    }
}
