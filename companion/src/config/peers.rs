//! The section `peers`: where the API servers of a control plane come from.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::reader::{Faulty, Section};
use super::value::{DnsName, Label, PeerName, PortName, absolute, duration};

/// How many peers a control plane can have, those that left its source and are remembered
/// included. The index keeps a set of peers for each type and verb, and its size is fixed.
pub(crate) const MAX_PEERS: usize = 128;

/// One kube-apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name in the map, in clusters, metrics and logs.
    pub name: PeerName,
    /// Where Envoy and the companion reach it.
    pub address: SocketAddr,
}

/// Where the peers of a control plane come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerSource {
    /// A list in the file; never empty, names and addresses unique.
    Static(Vec<Peer>),
    /// A name in the DNS.
    Dns(DnsSource),
    /// The EndpointSlices of a Service.
    EndpointSlices(SlicesSource),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSource {
    pub name: DnsName,
    pub records: Records,
    /// The DNS servers; empty for those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// The shortest time from one answer to the next query, whatever the answer's TTL.
    pub min_interval: Duration,
    /// The longest.
    pub max_interval: Duration,
}

/// The records that are queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// IPv4 addresses, all with this port.
    A(u16),
    /// IPv6 addresses, all with this port.
    Aaaa(u16),
    /// Names of servers with their ports.
    Srv,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicesSource {
    pub namespace: Label,
    pub service: Label,
    pub port: SlicePort,
    pub access: Access,
}

/// Which port of the endpoints is the API server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlicePort {
    /// The only one of its slice.
    Only,
    /// The one of this name.
    Named(PortName),
    /// This one, whatever the slices say.
    Number(u16),
}

/// How the API that has the slices is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// As a kubeconfig says.
    Kubeconfig(PathBuf),
    /// By the service account of the pod in which the companion runs.
    InCluster,
    /// The API is the control plane's own: its peers are asked, and before any is known, these.
    ThroughPeers(Vec<SocketAddr>),
}

impl PeerSource {
    /// Returns the number of peers, if the file says it.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Static(peers) => Some(peers.len()),
            Self::Dns(_) | Self::EndpointSlices(_) => None,
        }
    }
}

/// What the file says of the peers, in a word or two: `2 peers`, `peers from …`.
impl Display for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(peers) => write!(f, "{} peers", peers.len()),
            Self::Dns(DnsSource { name, records, .. }) => {
                write!(f, "peers from the {records} records of {name}")
            }
            Self::EndpointSlices(SlicesSource { namespace, service, .. }) => {
                write!(f, "peers from the EndpointSlices of the Service {namespace}/{service}")
            }
        }
    }
}

impl Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Srv => "SRV",
        })
    }
}

pub(super) fn peers(mut section: Section<'_>) -> Result<PeerSource, Faulty> {
    let listed = section.optional_sections("static");
    let listed = listed.and_then(|all| all.map(|all| list(&section, all)).transpose());
    let dns = section.optional_section("dns", dns);
    let slices = section.optional_section("endpointSlices", endpoint_slices);
    let present =
        [!matches!(listed, Ok(None)), !matches!(dns, Ok(None)), !matches!(slices, Ok(None))];
    let source = if present.into_iter().filter(|present| *present).count() == 1 {
        let sources = [
            listed.map(|peers| peers.map(PeerSource::Static)),
            dns.map(|dns| dns.map(PeerSource::Dns)),
            slices.map(|slices| slices.map(PeerSource::EndpointSlices)),
        ];
        sources.into_iter().find_map(Result::transpose)
    } else {
        None
    };
    let problem = "must have exactly one of static, dns and endpointSlices";
    let source = source.unwrap_or_else(|| Err(section.own_fault(problem)));
    section.finish();
    source
}

fn list(parent: &Section<'_>, sections: Vec<Section<'_>>) -> Result<Vec<Peer>, Faulty> {
    if sections.len() > MAX_PEERS {
        let problem = format!("must have at most {MAX_PEERS} entries, not {}", sections.len());
        parent.fault("static", problem);
    }
    let (mut names, mut addresses) = (HashMap::new(), HashMap::new());
    let peers: Vec<_> = sections
        .into_iter()
        .map(|mut section| {
            let name = section.required("name", str::parse::<PeerName>);
            let address = section.required("address", peer_address);
            section.once("name", name.as_ref().ok(), &mut names);
            section.once("address", address.as_ref().ok(), &mut addresses);
            section.finish();
            Ok(Peer { name: name?, address: address? })
        })
        .collect();
    peers.into_iter().collect()
}

fn dns(mut section: Section<'_>) -> Result<DnsSource, Faulty> {
    let name = section.required("name", str::parse::<DnsName>);
    let kind = section.or_default("recordType", "A", record_type);
    let port = section.optional_scalar("port", port_number);
    let servers = section.strings("servers", Vec::new(), peer_address);
    let bounds = duration(Duration::from_secs(1), Duration::from_secs(3600));
    let min_interval = section.or_default("minInterval", "1s", &bounds);
    let max_interval = section.or_default("maxInterval", "30s", &bounds);
    if let (Ok(least), Ok(most)) = (&min_interval, &max_interval)
        && least > most
    {
        section.fault("maxInterval", "must not be less than minInterval");
    }
    let records = kind.and_then(|kind| match (kind, port?) {
        ("SRV", None) => Ok(Records::Srv),
        ("SRV", Some(_)) => Err(section.fault("port", "must be absent: SRV records have ports")),
        (_, None) => Err(section.fault("port", "is required, except for recordType SRV")),
        ("AAAA", Some(port)) => Ok(Records::Aaaa(port)),
        (_, Some(port)) => Ok(Records::A(port)),
    });
    section.finish();
    Ok(DnsSource {
        name: name?,
        records: records?,
        servers: servers?,
        min_interval: min_interval?,
        max_interval: max_interval?,
    })
}

fn endpoint_slices(mut section: Section<'_>) -> Result<SlicesSource, Faulty> {
    let namespace = section.required("namespace", str::parse::<Label>);
    let service = section.required("service", str::parse::<Label>);
    let port = section.optional_scalar("port", str::parse::<SlicePort>);
    let kubeconfig = section.optional("kubeconfigFile", absolute);
    let first = section.optional_strings("throughPeers", peer_address);
    let access = match (kubeconfig, first) {
        (Ok(None), Ok(None)) => Ok(Access::InCluster),
        (Ok(Some(file)), Ok(None)) => Ok(Access::Kubeconfig(file)),
        (Ok(None), Ok(Some(addresses))) if addresses.is_empty() => {
            Err(section.fault("throughPeers", "must have at least one entry"))
        }
        (Ok(None), Ok(Some(addresses))) => Ok(Access::ThroughPeers(addresses)),
        (Ok(None), Err(faulty)) | (Err(faulty), Ok(None)) => Err(faulty),
        _ => Err(section.own_fault("must have at most one of kubeconfigFile and throughPeers")),
    };
    section.finish();
    Ok(SlicesSource {
        namespace: namespace?,
        service: service?,
        port: port?.unwrap_or(SlicePort::Only),
        access: access?,
    })
}

fn record_type(text: &str) -> Result<&'static str, String> {
    let known = ["A", "AAAA", "SRV"].into_iter().find(|known| *known == text);
    known.ok_or_else(|| "must be one of A, AAAA, SRV".to_owned())
}

fn port_number(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| "must be a port from 1 to 65535".to_owned())
}

impl FromStr for SlicePort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A port's name has a letter.
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            port_number(text).map(Self::Number)
        } else {
            text.parse().map(Self::Named)
        }
    }
}

pub(super) fn peer_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "must be an IP address and port, such as 10.0.0.1:6443")?;
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err("must be the address of one server, with its port".to_owned());
    }
    // `SocketAddr` shows a zone, and Envoy's addresses have none, so that they would differ.
    if text.contains('%') {
        return Err("must be without a zone (%), such as [fd00::2]:6443".to_owned());
    }
    Ok(address)
}
