//! API servers that are read without a companion: those that the user names.
//!
//! ```text
//!  --server … ── /readyz, /version, /api, /apis ── Belief (each) ── merge ── Facts
//! ```

mod merge;

use anyhow::{Context, Result, ensure};
use api_discovery::{Belief, DiscoveryDocument, Part, ServerVersion};
use discovery_map::{ACCEPT_AGGREGATED_DISCOVERY, PeerState};
use http::header::ACCEPT;
use http::{Request, Uri};
use kube::Client;
use tokio::net::lookup_host;

use crate::args::Connection;
use crate::control_plane::{endpoints, plain};
use crate::facts::{Facts, Peer};
use crate::kubeconfig;
use merge::Server;

/// Reads all servers, with the credentials of the kubeconfig.
///
/// # Errors
/// The kubeconfig cannot be used, or no server could be read.
pub async fn facts(args: &Connection) -> Result<Facts> {
    let mut servers = Vec::new();
    for url in &urls(args).await? {
        servers.push(server(url, args).await?);
    }
    let errors = servers.iter().filter_map(|server| {
        Some(format!("{}: {}", server.peer.name, server.peer.last_error.as_ref()?))
    });
    let is_read = servers.iter().any(|server| server.belief.is_complete());
    ensure!(is_read, "no API server could be read: {}", errors.collect::<Vec<_>>().join("; "));
    let peers = servers.iter().map(|server| server.peer.clone()).collect();
    Ok(Facts::read_by_itself(merge::document(&servers), peers)?)
}

/// Returns a client of the server with this name, `HOST:PORT`.
///
/// # Errors
/// The kubeconfig or its credentials cannot be used.
pub async fn client(args: &Connection, name: &str) -> Result<Client> {
    let mut config = kubeconfig::config(args).await?;
    config.cluster_url = format!("https://{name}").parse().context("not a URL")?;
    let name = args.tls_server_name.clone();
    let by_slices = args.all_servers.then(|| "kubernetes".to_owned());
    if let Some(name) = name.or(by_slices) {
        config.tls_server_name = Some(name);
    }
    Client::try_from(config).context("the credentials cannot be used")
}

/// Returns a client for objects of the control plane: of the kubeconfig's server, which should be Envoy;
/// without a companion, of the server with this name.
///
/// # Errors
/// The kubeconfig cannot be used, or is that of a hosting cluster.
pub async fn of_objects(args: &Connection, name: Option<&String>) -> Result<Client> {
    ensure!(
        !args.is_of_hosting_cluster(),
        "specify the hosting cluster's kubeconfig with --companion-kubeconfig, and the control plane's own with --kubeconfig"
    );
    match name.filter(|_| args.is_direct()) {
        Some(name) => client(args, name).await,
        None => kubeconfig::client(args).await,
    }
}

/// Returns the servers that the user names, or those in the EndpointSlices.
async fn urls(args: &Connection) -> Result<Vec<Uri>> {
    if !args.all_servers {
        return Ok(args.servers.clone());
    }
    let endpoints = endpoints(kubeconfig::client(args).await?).await?;
    ensure!(!endpoints.is_empty(), "default/kubernetes has no endpoints: use --server");
    let urls = endpoints.iter().map(|endpoint| format!("https://{endpoint}").parse());
    Ok(urls.collect::<Result<_, _>>()?)
}

/// Reads one server. What fails is kept as its error.
async fn server(url: &Uri, args: &Connection) -> Result<Server> {
    let place = || format!("--server: \"{url}\" must be a URL such as https://10.0.0.1:6443");
    let authority = url.authority().with_context(place)?;
    ensure!(url.scheme_str() == Some("https") && matches!(url.path(), "" | "/"), place());
    let name = authority.to_string();
    let client = client(args, &name).await?;
    let port = authority.port_u16().unwrap_or(443);
    let host = authority.host().trim_matches(['[', ']']);
    let address = lookup_host((host, port)).await.ok().and_then(|mut all| all.next());
    let mut server = Server { peer: unread(name), address, belief: Belief::default() };
    match read(&client, &mut server).await {
        Ok(()) => server.peer.last_answer_seconds_ago = Some(0),
        Err(error) => server.peer.last_error = Some(format!("{error:#}")),
    }
    server.peer.discovery_known = server.belief.is_complete();
    server.peer.types = server.belief.type_count();
    Ok(server)
}

fn unread(name: String) -> Peer {
    Peer {
        address: name.clone(),
        name,
        state: PeerState::Unreachable,
        left: false,
        forgotten: false,
        version: None,
        minor_version: None,
        answering: false,
        discovery_known: false,
        types: 0,
        last_answer_seconds_ago: None,
        absent_seconds: 0,
        last_error: None,
    }
}

async fn read(client: &Client, server: &mut Server) -> Result<()> {
    let ready = client.request_text(request("/readyz")?).await;
    server.peer.state = match &ready {
        Ok(_) => PeerState::Serving,
        Err(kube::Error::Api(_)) => PeerState::NotReady,
        Err(_) => PeerState::Unreachable,
    };
    if server.peer.state == PeerState::Unreachable {
        ready.map_err(plain)?;
    }
    let version: ServerVersion = client.request(request("/version")?).await.map_err(plain)?;
    server.peer.version = Some(version.git_version.to_string());
    server.peer.minor_version = version.minor;
    for part in Part::ALL {
        match client.request(request(part.path())?).await.map_err(plain)? {
            DiscoveryDocument::Aggregated(list) => server.belief.update(part, list.read(part)),
            DiscoveryDocument::Legacy(_) => {
                anyhow::bail!("has no aggregated discovery, which came with Kubernetes 1.26")
            }
        };
    }
    Ok(())
}

fn request(path: &str) -> http::Result<Request<Vec<u8>>> {
    Request::get(path).header(ACCEPT, ACCEPT_AGGREGATED_DISCOVERY).body(Vec::new())
}
