//! The headers by which a client could claim an identity or a hop. They are
//! removed from every request, whoever sent it.

use discovery_map::{CLUSTER_HEADER, IdentityHeaders};

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
/// first byte, and then the length, rule out most names.
#[derive(Clone, Debug)]
pub struct Claims {
    /// Whole names and prefixes, folded.
    names: Vec<Vec<u8>>,
    prefixes: Vec<Vec<u8>>,
    /// Whether a name or prefix begins with a byte, by the folded byte.
    begins: [bool; 256],
    /// Whether a whole name has a length; longer names count as the last one.
    lengths: [bool; 64],
}

impl Claims {
    /// Returns what is always removed, and what is configured.
    #[must_use]
    pub fn new(configured: &IdentityHeaders) -> Self {
        let IdentityHeaders { username_headers, group_headers, uid_headers, .. } = configured;
        let whole = [username_headers, group_headers, uid_headers].into_iter().flatten();
        let whole = ALWAYS.into_iter().chain(whole.map(String::as_str));
        // No map has an empty prefix. It would remove every header.
        let prefixes = configured.extra_header_prefixes.iter().map(String::as_str);
        let prefixes = [ALWAYS_PREFIX].into_iter().chain(prefixes).filter(|p| !p.is_empty());
        let (names, prefixes) = (folded(whole), folded(prefixes));
        let (mut begins, mut lengths) = ([false; 256], [false; 64]);
        for name in names.iter().chain(&prefixes) {
            set(&mut begins, name.first().map(|&byte| usize::from(byte)));
        }
        for name in &names {
            set(&mut lengths, Some(name.len().min(63)));
        }
        Self { names, prefixes, begins, lengths }
    }

    /// Returns whether a client's header or trailer of this name must be removed. Case does not
    /// matter, and `_` counts as `-`, as in [`is_header`](discovery_map::is_header). Allocates
    /// nothing.
    #[must_use]
    pub fn include(&self, name: &[u8]) -> bool {
        let Some(&first) = name.first() else { return false };
        if !is_set(&self.begins, usize::from(fold(first))) {
            return false;
        }
        let is = |claim: &Vec<u8>| claim.len() == name.len() && begins_with(name, claim);
        is_set(&self.lengths, name.len().min(63)) && self.names.iter().any(is)
            || self.prefixes.iter().any(|prefix| begins_with(name, prefix))
    }
}

fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn folded<'n>(names: impl Iterator<Item = &'n str>) -> Vec<Vec<u8>> {
    let mut folded: Vec<Vec<u8>> = names.map(|name| name.bytes().map(fold).collect()).collect();
    folded.sort_unstable();
    folded.dedup();
    folded
}

/// Returns whether a name begins with a prefix that is folded.
fn begins_with(name: &[u8], prefix: &[u8]) -> bool {
    name.len() >= prefix.len() && name.iter().zip(prefix).all(|(&byte, &own)| fold(byte) == own)
}

fn set(table: &mut [bool], at: Option<usize>) {
    if let Some(entry) = at.and_then(|at| table.get_mut(at)) {
        *entry = true;
    }
}

fn is_set(table: &[bool], at: usize) -> bool {
    table.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
