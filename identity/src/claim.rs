//! The headers by which a client could claim an identity or a hop. They are
//! removed from every request, whoever sent it.

use discovery_map::{CLUSTER_HEADER, IdentityHeaders, has_header_prefix, is_header};

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
/// Names are read as by [`is_header`]. Allocates nothing; the length or the first
/// bytes rule out most names.
#[must_use]
pub fn is_claim(name: &[u8], names: &IdentityHeaders) -> bool {
    is_always_removed(name) || is_configured(name, names)
}

fn is_always_removed(name: &[u8]) -> bool {
    name.len() >= SHORTEST
        && has_header_prefix(name, "x-")
        && (ALWAYS.iter().any(|claim| is_header(name, claim))
            || has_header_prefix(name, ALWAYS_PREFIX))
}

fn is_configured(name: &[u8], names: &IdentityHeaders) -> bool {
    let mut claims =
        [&names.username_headers, &names.group_headers, &names.uid_headers].into_iter().flatten();
    // No map has an empty prefix. It would remove every header.
    let mut prefixes = names.extra_header_prefixes.iter().filter(|prefix| !prefix.is_empty());
    claims.any(|claim| is_header(name, claim))
        || prefixes.any(|prefix| has_header_prefix(name, prefix))
}

#[cfg(test)]
mod tests;
