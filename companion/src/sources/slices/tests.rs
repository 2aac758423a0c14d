//! Slices that are read through the peers: here, a replayed API server.

use std::fs;
use std::net::SocketAddr;

use fake_apiserver::Version;
use fake_apiserver::recordings::Recording;
use fake_apiserver::replay::{ReplayOptions, ReplayPeer, Rules};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kube::{Api, Client};
use pki::Pki;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::{Access, SlicePort};

/// A watch is resumed each second, so that the API looks at the token again.
const BOUNDS: Bounds = Bounds { watch: 1, ..super::BOUNDS };

/// A control plane that has its own servers in `default/kubernetes`.
struct World {
    peer: ReplayPeer,
    folder: TempDir,
    source: SlicesSource,
    config: Arc<Config>,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::create(folder.path().join("pki")).unwrap();
        let certificate = pki.server("peer").unwrap();
        let recording = Recording::of(Version::V1_36).unwrap();
        let options = ReplayOptions::new("peer", recording, certificate);
        let peer = ReplayPeer::start(options).await.unwrap();
        let yaml = json!({
            "stateDirectory": "/s",
            "peers": { "endpointSlices": {
                "namespace": "default",
                "service": "kubernetes",
                "throughPeers": [SocketAddr::from(([127, 0, 0, 1], peer.port()))],
            } },
            "peerTls": { "caFile": pki.ca_file() },
            "credentials": { "tokenFile": folder.path().join("token") },
            "envoy": { "directory": "/e", "filterModule": "/f" },
        });
        let config = Config::from_yaml(&yaml.to_string()).unwrap();
        let source = SlicesSource {
            namespace: "default".parse().unwrap(),
            service: "kubernetes".parse().unwrap(),
            port: SlicePort::Only,
            access: Access::InCluster,
        };
        let world = Self { peer, folder, source, config: Arc::new(config), news: mpsc::channel(9) };
        world.demand("first");
        world.write_token("first");
        world
    }

    /// Lets the API accept this token alone.
    fn demand(&self, token: &str) {
        self.peer.set_rules(Rules { token: Some(token.to_owned()), ..Rules::default() });
    }

    fn write_token(&self, token: &str) {
        fs::write(self.folder.path().join("token"), token).unwrap();
    }

    /// Returns what makes clients for the peer at this address.
    fn accessor(&self, address: SocketAddr) -> Accessor {
        let (_, roster) = watch::channel(Arc::default());
        let access = Access::ThroughPeers(vec![address]);
        Accessor::new(access, Arc::clone(&self.config), roster, Duration::from_secs(5))
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.peer.port()).into()
    }

    /// Follows until the servers are these.
    async fn finds(&mut self, client: Client, expected: &[&str]) {
        let news = &mut self.news;
        let find = async {
            loop {
                let servers = news.1.recv().await.unwrap().unwrap();
                let found: Vec<_> = servers.iter().map(|one| one.address.to_string()).collect();
                if found == expected {
                    return;
                }
            }
        };
        tokio::select! {
            ended = follow::follow(client, &self.source, BOUNDS, &news.0) => panic!("{ended:?}"),
            () = find => {}
        }
    }
}

/// Adds a slice as kube-apiserver writes it, with one server.
async fn add(client: &Client, name: &str, address: &str) {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    let slice: Value = json!({
        "metadata": {
            "name": name,
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": family,
        "ports": [{ "name": "https", "port": 6443, "protocol": "TCP" }],
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
    });
    let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
    let api = Api::<EndpointSlice>::namespaced(client.clone(), "default");
    api.create(&PostParams::default(), &slice).await.unwrap();
}

/// Listens on IPv6 and passes connections on.
async fn relay(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(to).await.unwrap();
            tokio::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut server).await },
            );
        }
    });
    address
}

#[tokio::test]
async fn a_token_that_is_rotated_is_read_again_when_the_api_refuses_the_last_one() {
    let mut world = World::new().await;
    let mut accessor = world.accessor(world.address());
    let client = accessor.client().await.unwrap();
    add(&client, "kubernetes", "10.0.0.1").await;
    world.finds(client.clone(), &["10.0.0.1:6443"]).await;

    world.write_token("second");
    world.demand("second");
    let refused = follow::follow(client, &world.source, BOUNDS, &world.news.0).await.unwrap();
    assert!(refused.contains("401") || refused.contains("Unauthorized"), "{refused}");
    let client = accessor.client().await.unwrap();
    add(&client, "another", "10.0.0.2").await;
    world.finds(client, &["10.0.0.1:6443", "10.0.0.2:6443"]).await;
}

#[tokio::test]
async fn peers_with_ipv6_addresses_are_asked_and_found() {
    let mut world = World::new().await;
    let mut accessor = world.accessor(relay(world.address()).await);
    let client = accessor.client().await.unwrap();
    add(&client, "kubernetes", "fd00::1").await;
    world.finds(client, &["[fd00::1]:6443"]).await;
}
