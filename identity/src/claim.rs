//! The headers by which a client could claim an identity or a hop. They are
//! removed from every request, whoever sent it.

use std::collections::BTreeSet;

use discovery_map::{CLUSTER_HEADER, IdentityHeaders, has_header_prefix, is_header};

/// Always removed, whatever is configured.
const ALWAYS: [&str; 6] = [
    "x-remote-user",
    "x-remote-group",
    "x-remote-uid",
    "x-forwarded-client-cert",
    // The hop marker of Kubernetes' own Mixed Version Proxy (KEP-4020): a server
    // does not forward a request that has it.
    "x-kubernetes-apiserver-rerouted",
    CLUSTER_HEADER,
];

/// Always removed too: every header with this prefix.
const ALWAYS_PREFIX: &str = "x-remote-extra-";

/// The names that no client may send, made ready for looking up each header of each request: the
/// first byte, and then the length, rule out most of them.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Whole names.
    names: Vec<String>,
    prefixes: Vec<String>,
    /// Whether a name or prefix begins with a byte, in any spelling.
    begins: [bool; 256],
    /// The lengths of whole names, as bits; longer names share the last one.
    lengths: u64,
}

impl Claims {
    /// Returns what is always removed, and what is configured.
    #[must_use]
    pub fn new(configured: &IdentityHeaders) -> Self {
        let IdentityHeaders { username_headers, group_headers, uid_headers, .. } = configured;
        let whole = [username_headers, group_headers, uid_headers].into_iter().flatten().cloned();
        let names = distinct(ALWAYS.into_iter().map(str::to_owned).chain(whole));
        // No map has an empty prefix. It would remove every header.
        let prefixes = configured.extra_header_prefixes.iter().filter(|prefix| !prefix.is_empty());
        let prefixes = distinct(prefixes.cloned().chain([ALWAYS_PREFIX.to_owned()]));
        let lengths =
            names.iter().fold(0, |lengths, name: &String| lengths | length(name.as_bytes()));
        let mut claims = Self { names, prefixes, begins: [false; 256], lengths };
        for (byte, begins) in (0..=u8::MAX).zip(&mut claims.begins) {
            let mut all = claims.names.iter().chain(&claims.prefixes);
            *begins = all.any(|name| name.get(..1).is_some_and(|first| is_header(&[byte], first)));
        }
        claims
    }

    /// Returns whether a client's header or trailer of this name must be removed. Names are read as
    /// by [`is_header`]. Allocates nothing.
    #[must_use]
    pub fn include(&self, name: &[u8]) -> bool {
        let begins = |first: &u8| self.begins.get(usize::from(*first)) == Some(&true);
        name.first().is_some_and(begins)
            && (self.lengths & length(name) != 0
                && self.names.iter().any(|claim| is_header(name, claim))
                || self.prefixes.iter().any(|prefix| has_header_prefix(name, prefix)))
    }
}

fn length(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

/// What is configured is often what is always removed.
fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests;
