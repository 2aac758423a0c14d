//! Collects the faults of a document, and checks its parts without types.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::fault::{Fault, Faults};
use crate::header::{FRONT_PROXY_SUFFIX, is_lowercase_token, is_reserved, is_reserved_prefix};
use crate::map_document::{IdentityHeaders, PeerEntry, SetEntry};

/// Collects the faults while the parts are checked.
pub(super) struct Check {
    set_count: usize,
    faults: Vec<Fault>,
}

impl Check {
    pub(super) fn new(set_count: usize) -> Self {
        Self { set_count, faults: Vec::new() }
    }

    /// The faults, if there are any.
    pub(super) fn into_result(self) -> Result<(), Faults> {
        Faults::from_list(self.faults)
    }

    pub(super) fn fault(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(Fault::new(place, problem));
    }

    pub(super) fn peers(&mut self, peers: &[PeerEntry]) {
        let mut names = BTreeSet::new();
        for (index, peer) in peers.iter().enumerate() {
            let (place, name) = (format!("peers[{index}].name"), &peer.name);
            if name.is_empty() {
                self.fault(place, "must not be empty");
            } else if !names.insert(name) {
                self.fault(place, format!("\"{name}\" is the name of an earlier peer"));
            }
        }
    }

    /// An address is compared with the one that Envoy names, so it must be
    /// written in the same way.
    pub(super) fn rotation(&mut self, addresses: &[String]) {
        for (index, address) in addresses.iter().enumerate() {
            let parsed = address.parse::<SocketAddr>();
            if parsed.map(|parsed| parsed.to_string()).as_ref() != Ok(address) {
                let problem = "must be an IP address and port, such as 10.0.0.1:6443";
                self.fault(format!("rotation[{index}]"), format!("{address:?} {problem}"));
            }
        }
    }

    pub(super) fn identity(&mut self, identity: &IdentityHeaders) {
        type Rule = fn(&str) -> bool;
        let (name, prefix): (Rule, Rule) = (is_identity_header, is_identity_prefix);
        let lists = [
            ("usernameHeaders", &identity.username_headers, identity.front_proxy, name),
            ("groupHeaders", &identity.group_headers, identity.front_proxy, name),
            ("uidHeaders", &identity.uid_headers, false, name),
            ("extraHeaderPrefixes", &identity.extra_header_prefixes, false, prefix),
        ];
        for (list, names, needed, is_valid) in lists {
            if needed && names.is_empty() {
                self.fault(format!("identity.{list}"), "must have a name for the front proxy");
            }
            for (index, name) in names.iter().enumerate() {
                if !is_valid(name) {
                    let place = format!("identity.{list}[{index}]");
                    let problem = "is not a lowercase header name reserved for identity";
                    self.fault(place, format!("{name:?} {problem}"));
                }
            }
        }
    }

    /// A cluster name travels as a header value and as a statistics name.
    pub(super) fn cluster(&mut self, place: &str, name: &str) {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.fault(place, format!("{name:?} must be visible ASCII and not empty"));
        } else if name.ends_with(FRONT_PROXY_SUFFIX) {
            self.fault(place, format!("{name:?} must not end with {FRONT_PROXY_SUFFIX:?}"));
        }
    }

    pub(super) fn sets(&mut self, sets: &[SetEntry], peer_count: usize) {
        let mut clusters = BTreeSet::new();
        for (index, set) in sets.iter().enumerate() {
            let place = format!("sets[{index}].peers");
            if !set.peers.is_sorted_by(|a, b| a < b) {
                self.fault(&place, "must be strictly ascending");
            }
            for &peer in set.peers.iter().filter(|&&peer| usize::from(peer) >= peer_count) {
                let problem = "is out of range: the map has";
                self.fault(&place, format!("peer index {peer} {problem} {peer_count} peers"));
            }
            self.at_least(index, set, &mut clusters);
            let Some(cluster) = &set.cluster else { continue };
            let place = format!("sets[{index}].cluster");
            self.cluster(&place, cluster);
            if !clusters.insert(cluster) {
                self.fault(place, format!("\"{cluster}\" is the cluster of an earlier set"));
            }
        }
    }

    /// A set without a cluster has none for components either. Only its own cluster may be among
    /// them, for the oldest version.
    fn at_least<'s>(
        &mut self,
        index: usize,
        set: &'s SetEntry,
        clusters: &mut BTreeSet<&'s String>,
    ) {
        for (position, (version, cluster)) in set.at_least.iter().enumerate() {
            let place = format!("sets[{index}].atLeast[\"{version}\"]");
            match &set.cluster {
                None => self.fault(place, "must not be there: the set has no cluster"),
                Some(own) if own == cluster && position == 0 => {}
                Some(_) => {
                    self.cluster(&place, cluster);
                    if !clusters.insert(cluster) {
                        let problem = "is the cluster of an earlier set or version";
                        self.fault(place, format!("\"{cluster}\" {problem}"));
                    }
                }
            }
        }
    }

    pub(super) fn set_index(&mut self, place: impl Into<String>, set: u16) {
        if usize::from(set) >= self.set_count {
            let count = self.set_count;
            self.fault(place, format!("set index {set} is out of range: the map has {count} sets"));
        }
    }
}

fn is_identity_header(name: &str) -> bool {
    is_lowercase_token(name) && !is_reserved(name)
}

fn is_identity_prefix(prefix: &str) -> bool {
    is_lowercase_token(prefix) && !is_reserved_prefix(prefix)
}
