//! The headers by which a client could claim an identity or a hop. They are
//! removed from every request, whoever sent it.

use discovery_map::{CLUSTER_HEADER, IdentityHeaders};

/// Always removed, whatever is configured. All begin with `x-`, and none is
/// shorter than `SHORTEST`.
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

const SHORTEST: usize = "x-remote-uid".len();

/// Returns whether a client's header or trailer of this name must be removed.
///
/// Case does not matter, and `_` counts as `-`, because some servers and proxies
/// confuse them. Allocates nothing; the length or the first bytes rule out most
/// names.
#[must_use]
pub fn is_claim(name: &[u8], names: &IdentityHeaders) -> bool {
    is_always_removed(name) || is_configured(name, names)
}

fn is_always_removed(name: &[u8]) -> bool {
    name.len() >= SHORTEST
        && starts_with(name, "x-")
        && (ALWAYS.iter().any(|claim| is(name, claim)) || starts_with(name, ALWAYS_PREFIX))
}

fn is_configured(name: &[u8], names: &IdentityHeaders) -> bool {
    [&names.username_headers, &names.group_headers, &names.uid_headers]
        .into_iter()
        .flatten()
        .any(|claim| is(name, claim))
        // No map has an empty prefix. It would remove every header.
        || names
            .extra_header_prefixes
            .iter()
            .any(|prefix| !prefix.is_empty() && starts_with(name, prefix))
}

fn is(name: &[u8], claim: &str) -> bool {
    name.len() == claim.len() && starts_with(name, claim)
}

fn starts_with(name: &[u8], prefix: &str) -> bool {
    name.len() >= prefix.len() && name.iter().zip(prefix.bytes()).all(|(&a, b)| fold(a) == fold(b))
}

fn fold(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests;
