//! From the servers of a source to peers: every address once, every name once.
//!
//! A peer's name is its identity in metrics, logs and cluster names, so it stays while the source
//! has the address. A server that takes a name or an address over is another peer, because only
//! the pair of both is compared.

use std::collections::{BTreeMap, BTreeSet};

use super::news::Server;
use crate::config::{Peer, PeerName};

/// Returns the servers as peers, sorted by name. `before`: the peers so far.
pub(super) fn peers(servers: Vec<Server>, before: &[Peer]) -> Vec<Peer> {
    let mut by_address = BTreeMap::new();
    for server in servers {
        by_address.entry(server.address).or_insert(server);
    }
    let mut taken = BTreeSet::new();
    let mut peers = Vec::new();
    // Those that keep their names come first.
    let new =
        claim(by_address.into_values(), |server| kept_name(server, before), &mut taken, &mut peers);
    // The source's own names come before those that are made.
    let unnamed = claim(new, own_name, &mut taken, &mut peers);
    for Server { address, .. } in unnamed {
        let name = PeerName::of_address(address, |name| taken.contains(name));
        taken.insert(name.clone());
        peers.push(Peer { name, address });
    }
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    peers
}

/// Makes peers of the servers that have a name that is not taken. Returns the others.
fn claim(
    servers: impl IntoIterator<Item = Server>,
    name: impl Fn(&Server) -> Option<PeerName>,
    taken: &mut BTreeSet<PeerName>,
    peers: &mut Vec<Peer>,
) -> Vec<Server> {
    let mut others = Vec::new();
    for server in servers {
        match name(&server).filter(|name| taken.insert(name.clone())) {
            Some(name) => peers.push(Peer { name, address: server.address }),
            None => others.push(server),
        }
    }
    others
}

/// Returns the name that a peer with the server's address has, unless the source now says that it
/// is another server.
fn kept_name(server: &Server, before: &[Peer]) -> Option<PeerName> {
    let peer = before.iter().find(|peer| peer.address == server.address)?;
    let keeps = peer.name.is_of_address(server.address)
        || own_name(server).is_some_and(|own| own == peer.name);
    keeps.then(|| peer.name.clone())
}

/// Returns what the source calls the server, as far as a peer can be called so. The names of pods
/// and nodes may have dots and 253 characters.
fn own_name(server: &Server) -> Option<PeerName> {
    let name: String = server.name.as_ref()?.to_ascii_lowercase().replace('.', "-");
    let short = name.get(..name.len().min(63))?;
    short.trim_matches('-').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, address: &str) -> Server {
        let name = (!name.is_empty()).then(|| name.to_owned());
        Server { name, address: address.parse().unwrap() }
    }

    /// Returns the peers as `name@address`.
    fn named(servers: &[Server], before: &[Peer]) -> Vec<String> {
        let peers = peers(servers.to_vec(), before);
        peers.iter().map(|peer| format!("{}@{}", peer.name, peer.address)).collect()
    }

    #[test]
    fn a_server_without_a_name_is_named_by_its_address() {
        let servers = [server("", "10.0.0.1:6443"), server("", "[fd00::a]:6443")];
        let expected = ["10-0-0-1-6443@10.0.0.1:6443", "fd00-0-0-0-0-0-0-a-6443@[fd00::a]:6443"];
        assert_eq!(named(&servers, &[]), expected);
    }

    #[test]
    fn the_sources_name_is_made_a_peers_name() {
        let long = format!("{}.example", "a".repeat(62));
        let servers = [
            server("Node-1.example.com", "10.0.0.1:1"),
            server(&long, "10.0.0.1:2"),
            server("ä", "10.0.0.1:3"),
        ];
        let long = format!("{}@10.0.0.1:2", "a".repeat(62));
        let expected = ["10-0-0-1-3@10.0.0.1:3", &long, "node-1-example-com@10.0.0.1:1"];
        assert_eq!(named(&servers, &[]), expected);
    }

    #[test]
    fn an_address_that_comes_twice_is_one_peer_and_a_name_that_comes_twice_names_one() {
        let servers =
            [server("a", "10.0.0.1:1"), server("a", "10.0.0.1:1"), server("a", "10.0.0.2:1")];
        assert_eq!(named(&servers, &[]), ["10-0-0-2-1@10.0.0.2:1", "a@10.0.0.1:1"]);
    }

    #[test]
    fn a_pod_that_is_called_like_an_address_keeps_its_name_and_the_address_gets_a_number() {
        let pod = server("10-0-0-1-1", "10.0.0.9:1");
        let servers = [server("", "10.0.0.1:1"), pod.clone()];
        let expected = ["10-0-0-1-1@10.0.0.9:1", "10-0-0-1-1-2@10.0.0.1:1"];
        assert_eq!(named(&servers, &[]), expected);
        let before = peers(servers.to_vec(), &[]);
        assert_eq!(named(&servers, &before), expected);
        assert_eq!(named(&servers[..1], &before), expected[1..], "it keeps its number");
        // The pod comes later.
        let before = peers(servers[..1].to_vec(), &[]);
        let expected = ["10-0-0-1-1@10.0.0.1:1", "10-0-0-9-1@10.0.0.9:1"];
        assert_eq!(named(&servers, &before), expected);
        assert_eq!(named(&[pod], &peers(servers.to_vec(), &before)), expected[1..]);
    }

    #[test]
    fn a_peer_keeps_its_name_whoever_comes_or_leaves() {
        let before = peers(vec![server("a", "10.0.0.1:1"), server("a", "10.0.0.2:1")], &[]);
        let alone = [server("a", "10.0.0.2:1")];
        assert_eq!(named(&alone, &before), ["10-0-0-2-1@10.0.0.2:1"]);
        let before = peers(vec![server("a", "10.0.0.2:1")], &[]);
        let joined = [server("a", "10.0.0.1:1"), server("a", "10.0.0.2:1")];
        assert_eq!(named(&joined, &before), ["10-0-0-1-1@10.0.0.1:1", "a@10.0.0.2:1"]);
    }

    #[test]
    fn a_server_that_takes_an_address_over_is_another_peer() {
        let before = peers(vec![server("a", "10.0.0.1:1")], &[]);
        assert_eq!(named(&[server("b", "10.0.0.1:1")], &before), ["b@10.0.0.1:1"]);
        assert_eq!(named(&[server("a", "10.0.0.2:1")], &before), ["a@10.0.0.2:1"]);
    }
}
