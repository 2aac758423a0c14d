//! The target of a path, as kube-apiserver's RequestInfo and routes read it.
//! It shares no code with the crate `routing` on purpose: the fake servers judge
//! what that crate decides.

/// The target of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// `/api`, or `/apis`, in any form.
    Root(&'static str),
    /// `/apis/<group>`.
    Group(String),
    /// `/api/<version>` (empty group) or `/apis/<group>/<version>`.
    Version(String, String),
    /// Objects.
    Objects(Objects),
    /// Not a path of the API.
    Other,
}

/// A request for objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Objects {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) resource: String,
    /// `None` for the cluster's scope, and for all namespaces.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    /// Whether more segments follow the subresource, as in `…/proxy/a/b`.
    pub(super) tail: bool,
    /// The old prefix `watch/`.
    pub(super) watch: bool,
}

/// Reads the path of a request target.
pub(super) fn read(path: &str) -> Asked {
    let decoded = percent_decode(path);
    let Some(rest) = decoded.strip_prefix('/') else { return Asked::Other };
    // One trailing slash makes no difference.
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let segments: Vec<&str> = rest.split('/').collect();
    match segments.as_slice() {
        ["api"] => Asked::Root("/api"),
        ["apis"] => Asked::Root("/apis"),
        ["api", version] => Asked::Version(String::new(), (*version).to_owned()),
        ["apis", group] => Asked::Group((*group).to_owned()),
        ["apis", group, version] => Asked::Version((*group).to_owned(), (*version).to_owned()),
        ["api", version, parts @ ..] => Asked::Objects(objects("", version, parts)),
        ["apis", group, version, parts @ ..] => Asked::Objects(objects(group, version, parts)),
        _ => Asked::Other,
    }
}

fn objects(group: &str, version: &str, parts: &[&str]) -> Objects {
    let (watch, parts) = match parts {
        ["watch", rest @ ..] => (true, rest),
        _ => (false, parts),
    };
    let (namespace, parts) = match parts {
        // The namespace itself, and its own subresources.
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] if group.is_empty() => {
            (None, parts)
        }
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        _ => (None, parts),
    };
    let owned = |index: usize| parts.get(index).map(|part| (*part).to_owned());
    Objects {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: owned(0).unwrap_or_default(),
        namespace: namespace.filter(|name| !name.is_empty()).map(str::to_owned),
        name: owned(1),
        subresource: owned(2),
        tail: parts.len() > 3,
        watch,
    }
}

/// Decodes `%XX`; anything else stays unchanged.
pub(super) fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Asked, Objects, read};

    fn of(path: &str) -> Objects {
        match read(path) {
            Asked::Objects(objects) => objects,
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn a_namespace_is_an_object_and_a_scope() {
        assert_eq!(of("/api/v1/namespaces/a").resource, "namespaces");
        assert_eq!(of("/api/v1/namespaces/a/status").subresource.as_deref(), Some("status"));
        let pods = of("/api/v1/namespaces/a/pods/p/log");
        assert_eq!((pods.resource.as_str(), pods.namespace.as_deref()), ("pods", Some("a")));
        assert_eq!((pods.name.as_deref(), pods.subresource.as_deref()), (Some("p"), Some("log")));
    }

    #[test]
    fn escapes_are_decoded_before_the_path_is_split() {
        assert_eq!(of("/apis/apps%2Fv1/deployments").version, "v1");
        assert_eq!(of("/api/v1/config%6Daps").resource, "configmaps");
        assert_eq!(of("/api/v1/pods%zz").resource, "pods%zz");
    }

    #[test]
    fn empty_segments_count() {
        assert_eq!(read("//api/v1/pods"), Asked::Other);
        assert_eq!(of("/api/v1//pods").resource, "");
        assert_eq!(of("/apis/apps/v1/namespaces//deployments").namespace, None);
        assert_eq!(read("/apis/"), Asked::Root("/apis"));
    }

    #[test]
    fn a_watch_prefix_is_not_part_of_the_resource_path() {
        let pods = of("/api/v1/watch/namespaces/a/pods");
        assert!(pods.watch && pods.resource == "pods");
    }
}
