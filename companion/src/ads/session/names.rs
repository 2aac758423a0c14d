//! Which control plane a resource belongs to, by its name.

use crate::ads::kind::Kind;
use crate::xds::FILTER_NAME;

/// The lane of what belongs to no control plane: listeners, and names that mean nothing.
pub(super) const SHARED: &str = "";

/// Returns the lane of a name. `None` if the name contains no control plane. The resource then
/// belongs to the only one.
/// A prefix is a DNS label, without `_` and `/`; what a filter chain asks for has a lane of its own.
pub fn owner(kind: Kind, name: &str) -> Option<&str> {
    match kind {
        Kind::Clusters | Kind::Endpoints => {
            Some(name.split_once('_').map_or(name, |(prefix, _)| prefix))
        }
        Kind::Secrets => name.split_once('/').map(|(prefix, _)| prefix),
        Kind::Filter => name.strip_prefix(FILTER_NAME)?.strip_prefix('/'),
        Kind::Listeners => Some(SHARED),
    }
}

/// Returns the control plane of a lane.
pub(super) fn prefix(lane: &str) -> &str {
    lane.split_once('/').map_or(lane, |(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_resource_says_whose_it_is() {
        for (kind, name, expected) in [
            (Kind::Clusters, "cp-1", Some("cp-1")),
            (Kind::Clusters, "cp-1__rotation", Some("cp-1")),
            (Kind::Endpoints, "cp-1_a_b__front-proxy", Some("cp-1")),
            (Kind::Secrets, "cp-1/client-ca", Some("cp-1")),
            (Kind::Secrets, "peer-ca-0123456789abcdef", None),
            (Kind::Filter, "mixed-version-proxy/cp-1", Some("cp-1")),
            (Kind::Filter, "mixed-version-proxy/cp-1/connections", Some("cp-1/connections")),
            (Kind::Filter, "mixed-version-proxy", None),
            (Kind::Filter, "another", None),
        ] {
            assert_eq!(owner(kind, name), expected, "{name}");
            assert_eq!(prefix(expected.unwrap_or_default()), expected.map_or("", |_| "cp-1"));
        }
    }
}
