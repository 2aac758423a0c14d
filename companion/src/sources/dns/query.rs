//! Asks the DNS servers. Each query has a resolver of its own, without a cache: the system's
//! configuration may have changed, and the source itself knows when to ask again.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, Record, RecordType};

use super::answer::{Answer, at_addresses, at_target, targets, ttl};
use crate::config::{DnsSource, Records};

/// How long a server of the configuration may take; `/etc/resolv.conf` says it for its own.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns what the DNS servers say.
///
/// # Errors
/// Why no DNS server answers. That the name does not exist is an answer.
pub(super) async fn query(source: &DnsSource) -> Result<Answer, String> {
    let resolver = resolver(&source.servers)?;
    let name = Name::from_utf8(source.name.as_str()).map_err(|error| error.to_string())?;
    let (kind, port) = match source.records {
        Records::A(port) => (RecordType::A, port),
        Records::Aaaa(port) => (RecordType::AAAA, port),
        Records::Srv => return services(&resolver, name).await,
    };
    Ok(at_addresses(&lookup(&resolver, name, kind).await?, port))
}

/// Returns the servers of SRV records. If nobody answers for one of the targets, nothing is known.
async fn services(resolver: &TokioResolver, name: Name) -> Result<Answer, String> {
    let records = lookup(resolver, name, RecordType::SRV).await?;
    let mut all = Answer { servers: Vec::new(), ttl: ttl(&records) };
    for target in targets(&records) {
        let mut addresses = lookup(resolver, target.target.clone(), RecordType::A).await?;
        if addresses.is_empty() {
            addresses = lookup(resolver, target.target.clone(), RecordType::AAAA).await?;
        }
        let found = at_target(target, &addresses);
        all.servers.extend(found.servers);
        all.ttl = all.ttl.min(found.ttl.or(all.ttl));
    }
    Ok(all)
}

async fn lookup(
    resolver: &TokioResolver,
    name: Name,
    kind: RecordType,
) -> Result<Vec<Record>, String> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(found) => Ok(found.answers().to_vec()),
        // A server that fails (SERVFAIL) does not say so.
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(format!("{kind} records of {name}: {error}")),
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let provider = TokioRuntimeProvider::default();
    let mut builder = if servers.is_empty() {
        TokioResolver::builder(provider).map_err(|error| format!("/etc/resolv.conf: {error}"))?
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_name_servers(servers);
        let mut builder = TokioResolver::builder_with_config(config, provider);
        builder.options_mut().timeout = TIMEOUT;
        builder
    };
    let ResolverOpts { cache_size, use_hosts_file, .. } = builder.options_mut();
    *cache_size = 0;
    *use_hosts_file = ResolveHosts::Never;
    builder.build().map_err(|error| error.to_string())
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}
