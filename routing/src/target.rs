//! What a request asks for, by the grammar of Kubernetes' own `RequestInfo`
//! (k8s.io/apiserver/pkg/endpoints/request/requestinfo.go).

use discovery_map::Scope;

/// What a request asks for. Names are the client's bytes, percent-decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'p> {
    /// Not an API path (`/healthz`, `/version`), or not one to an API server, such
    /// as a path with an empty segment.
    NotAnApi,
    /// A document that spans all groups: `/api`, `/apis`, `/openapi/v3`.
    Discovery,
    /// `/openapi/v2`, and what is below it.
    OpenApiV2,
    /// A document below `/openapi/v3/`.
    OpenApiV3 {
        /// What follows `/openapi/v3/`.
        document: &'p [u8],
        /// The group (empty for the core group) and version that the document
        /// describes; `None` if it describes something else.
        group_version: Option<(&'p [u8], &'p [u8])>,
    },
    /// A group's discovery document: `/apis/<group>`.
    Group(&'p [u8]),
    /// A group-version's discovery document: `/api/<version>`,
    /// `/apis/<group>/<version>`.
    GroupVersion {
        /// Empty for the core group.
        group: &'p [u8],
        /// The version as it stands in the path.
        version: &'p [u8],
    },
    /// A resource, an object of it, or a subresource.
    Resource(ResourceTarget<'p>),
}

/// A resource or a subresource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceTarget<'p> {
    /// Empty for the core group.
    pub group: &'p [u8],
    /// The version as it stands in the path.
    pub version: &'p [u8],
    /// The plural name.
    pub resource: &'p [u8],
    /// The subresource of the named object, if any.
    pub subresource: Option<&'p [u8]>,
    /// Whether the resource stands below `namespaces/<namespace>/`.
    pub in_namespace: bool,
    /// Whether the path names one object.
    pub is_named: bool,
    /// Whether segments follow the subresource.
    pub has_tail: bool,
    /// Whether the old `watch/` stands before the resource: a verb in the path.
    pub is_watch: bool,
}

/// The most segments that matter, and one to see that there are more:
/// `/apis/g/v/watch/namespaces/n/resource/name/subresource/tail`.
const MEANINGFUL_SEGMENTS: usize = 10;

impl<'p> Target<'p> {
    /// Reads a decoded path.
    pub(crate) fn parse(path: &'p [u8]) -> Self {
        let Some(path) = path.strip_prefix(b"/") else { return Self::NotAnApi };
        match path.strip_prefix(b"openapi/v3/") {
            // A slash at the end means nothing.
            None => Self::read(path.strip_suffix(b"/").unwrap_or(path)),
            // Here it does: kube-openapi (pkg/handler3) compares the whole rest with
            // the documents that there are.
            Some(document) => {
                let group_version = match Self::read(document) {
                    Self::GroupVersion { group, version } => Some((group, version)),
                    _ => None,
                };
                Self::OpenApiV3 { document, group_version }
            }
        }
    }

    fn read(path: &'p [u8]) -> Self {
        let mut segments: [&[u8]; MEANINGFUL_SEGMENTS] = [b""; MEANINGFUL_SEGMENTS];
        let mut count = 0;
        for (slot, segment) in segments.iter_mut().zip(path.split(|&byte| byte == b'/')) {
            *slot = segment;
            count += 1;
        }
        Self::from_segments(segments.get(..count).unwrap_or_default())
    }

    fn from_segments(segments: &[&'p [u8]]) -> Self {
        match segments {
            [b"api"] | [b"apis"] => Self::Discovery,
            [b"openapi", b"v2", ..] => Self::OpenApiV2,
            [b"openapi", ..] => Self::Discovery,
            [b"api", version] if !version.is_empty() => Self::GroupVersion { group: b"", version },
            [b"api", version, rest @ ..] => Self::resource(b"", version, rest),
            [b"apis", group] if !group.is_empty() => Self::Group(group),
            [b"apis", group, version] if !group.is_empty() && !version.is_empty() => {
                Self::GroupVersion { group, version }
            }
            [b"apis", group, version, rest @ ..] if !group.is_empty() => {
                Self::resource(group, version, rest)
            }
            _ => Self::NotAnApi,
        }
    }

    /// `rest` is what follows the version.
    fn resource(group: &'p [u8], version: &'p [u8], rest: &[&'p [u8]]) -> Self {
        // An old verb that may still come before the resource. Supported servers
        // no longer have the other one, `proxy`.
        let (is_watch, rest) = match rest {
            [b"watch", after @ ..] => (true, after),
            _ => (false, rest),
        };
        let (in_namespace, parts) = match rest {
            // The namespace's own subresources.
            [b"namespaces", _, b"status" | b"finalize", ..] => (false, rest),
            // An empty namespace means all of them, as it does to the server.
            [b"namespaces", _, inner @ ..] if !inner.is_empty() => (true, inner),
            _ => (false, rest),
        };
        let (&resource, after) = match parts.split_first() {
            Some(split) if !split.0.is_empty() && !version.is_empty() => split,
            _ => return Self::NotAnApi,
        };
        let (subresource, has_tail) = match after {
            [_, subresource, tail @ ..] => (Some(*subresource), !tail.is_empty()),
            _ => (None, false),
        };
        if subresource == Some(b"") {
            return Self::NotAnApi;
        }
        let is_named = !after.is_empty();
        Self::Resource(ResourceTarget {
            group,
            version,
            resource,
            subresource,
            in_namespace,
            is_named,
            has_tail,
            is_watch,
        })
    }
}

impl ResourceTarget<'_> {
    /// Returns whether a node, pod or service answers, which may have executed the
    /// request whatever it answers.
    pub(crate) fn is_proxied(&self) -> bool {
        self.subresource == Some(b"proxy")
    }

    /// Returns whether a 404 for this path of a known resource is not the server's
    /// own: below a subresource other than `proxy` only an aggregated server has
    /// anything.
    pub(crate) fn is_for_another(&self) -> bool {
        self.is_proxied() || self.has_tail
    }

    /// The scope that a resource must have for a server to know this path. `None`
    /// if either will do: the list of all objects has the same path in both.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match (self.in_namespace, self.is_named) {
            (true, _) => Some(Scope::Namespaced),
            (false, true) => Some(Scope::Cluster),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests;
