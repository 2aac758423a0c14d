//! From records to servers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, Record};

use crate::sources::news::Server;

/// What the DNS says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub servers: Vec<Server>,
    /// How long it holds. `None` if the name does not exist.
    pub ttl: Option<Duration>,
}

/// Returns the servers at the addresses of an answer, all with this port.
pub(super) fn at_addresses(records: &[Record], port: u16) -> Answer {
    let servers = addresses(records);
    let server = |ip| Server { address: SocketAddr::new(ip, port), name: None };
    Answer { servers: servers.map(server).collect(), ttl: ttl(records) }
}

/// Returns the SRV records of an answer.
pub(super) fn targets(records: &[Record]) -> impl Iterator<Item = &SRV> {
    records.iter().filter_map(|record| match &record.data {
        RData::SRV(target) => Some(target),
        _ => None,
    })
}

/// Returns the servers at the addresses of the target of an SRV record.
pub(super) fn at_target(target: &SRV, records: &[Record]) -> Answer {
    let name = target.target.to_ascii();
    let name = name.split('.').next().map(str::to_owned);
    let at_port = at_addresses(records, target.port);
    let servers = at_port.servers.into_iter().map(|server| Server { name: name.clone(), ..server });
    Answer { servers: servers.collect(), ttl: at_port.ttl }
}

/// Returns how long an answer holds, CNAME records included.
pub(super) fn ttl(records: &[Record]) -> Option<Duration> {
    let shortest = records.iter().map(|record| record.ttl).min()?;
    Some(Duration::from_secs(shortest.into()))
}

fn addresses(records: &[Record]) -> impl Iterator<Item = IpAddr> {
    records.iter().filter_map(|record| record.data.ip_addr())
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::Name;
    use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn record(ttl: u32, data: RData) -> Record {
        Record::from_rdata(name("api.example."), ttl, data)
    }

    fn servers(answer: &Answer) -> Vec<String> {
        let shown = |server: &Server| {
            format!("{}@{}", server.name.as_deref().unwrap_or_default(), server.address)
        };
        answer.servers.iter().map(shown).collect()
    }

    #[test]
    fn addresses_are_servers_and_the_shortest_ttl_counts() {
        let records = [
            record(5, RData::CNAME(CNAME(name("other.example.")))),
            record(60, RData::A(A::new(10, 0, 0, 1))),
            record(30, RData::AAAA(AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))),
        ];
        let answer = at_addresses(&records, 6443);
        assert_eq!(servers(&answer), ["@10.0.0.1:6443", "@[fd00::1]:6443"]);
        assert_eq!(answer.ttl, Some(Duration::from_secs(5)));
        assert_eq!(at_addresses(&[], 6443), Answer::default());
    }

    #[test]
    fn the_target_of_an_srv_record_is_a_server_with_its_first_label_as_its_name() {
        let target = SRV::new(0, 0, 7443, name("api-0.api.example."));
        let records = [record(9, RData::SRV(target.clone()))];
        assert_eq!(targets(&records).collect::<Vec<_>>(), [&target]);
        let address = [record(7, RData::A(A::new(10, 0, 0, 1)))];
        let answer = at_target(&target, &address);
        assert_eq!(servers(&answer), ["api-0@10.0.0.1:7443"]);
        assert_eq!(answer.ttl, Some(Duration::from_secs(7)));
    }
}
