//! What the user asks about → the request that a client would send.

use discovery_map::{Destination, MapDocument, Verb};

use crate::facts::Facts;

/// A request, as far as its routing depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
}

/// What is asked about, in the words of kubectl.
#[derive(Clone, Copy, Debug)]
pub struct Words<'w> {
    pub verb: &'w str,
    /// `RESOURCE[.VERSION.GROUP]` or `RESOURCE.GROUP`.
    pub resource: &'w str,
    pub subresource: Option<&'w str>,
    pub name: Option<&'w str>,
    pub namespace: Option<&'w str>,
    pub all_namespaces: bool,
}

/// The words do not make a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    #[error("{0:?} must be a path such as /api/v1/pods, or be followed by a resource")]
    NoPath(String),
    #[error(
        "{0:?} is not a verb: it must be get, list, watch, create, update, patch, delete or deletecollection"
    )]
    Verb(String),
    #[error("the verb {0} must have a NAME")]
    NoName(Verb),
    #[error("the verb {0} must not have a NAME")]
    Name(Verb),
    #[error(
        "no API server serves {0}: to ask about a type that does not exist, name it in full, such as {0}.v1.example.com"
    )]
    Unknown(String),
    #[error("several groups have {0}: name one of {1}")]
    Ambiguous(String, String),
}

/// A type and where it stands in a path.
struct Type {
    group: String,
    version: String,
    resource: String,
    namespaced: bool,
}

impl Words<'_> {
    /// Returns the request of these words. The facts tell the group, version and scope.
    ///
    /// # Errors
    /// There is no such verb, a name is missing or must not be there, or the type is not known.
    pub fn request(&self, facts: &Facts) -> Result<Request, RequestError> {
        let verb = self.verb();
        let verb = verb.ok_or_else(|| RequestError::Verb(self.verb.to_owned()))?;
        let named = self.name.is_some();
        match verb {
            Verb::Get | Verb::Update | Verb::Patch | Verb::Delete if !named => {
                return Err(RequestError::NoName(verb));
            }
            Verb::List | Verb::DeleteCollection if named => return Err(RequestError::Name(verb)),
            Verb::Create if named && self.subresource.is_none() => {
                return Err(RequestError::Name(verb));
            }
            _ => {}
        }
        let (method, query) = match verb {
            Verb::Get | Verb::List => ("GET", ""),
            Verb::Watch => ("GET", "?watch=true"),
            Verb::Create => ("POST", ""),
            Verb::Update => ("PUT", ""),
            Verb::Patch => ("PATCH", ""),
            Verb::Delete | Verb::DeleteCollection => ("DELETE", ""),
        };
        let path = self.path(&find(facts, self.resource, self.namespace.is_some())?) + query;
        Ok(Request { method: method.to_owned(), path })
    }

    /// Reads the verb. As for kubectl, `get` without a name lists.
    fn verb(&self) -> Option<Verb> {
        let verb = Verb::from_name(self.verb)?;
        let lists = verb == Verb::Get && self.name.is_none();
        Some(if lists { Verb::List } else { verb })
    }

    fn path(&self, found: &Type) -> String {
        let Type { group, version, resource, namespaced } = found;
        let mut path = api_discovery::group_version_path(group, version);
        if *namespaced && !self.all_namespaces {
            let namespace = self.namespace.unwrap_or("default");
            path.push_str(&format!("/namespaces/{namespace}"));
        }
        let rest = [Some(resource.as_str()), self.name, self.subresource];
        rest.into_iter().flatten().fold(path, |path, part| format!("{path}/{part}"))
    }
}

/// Finds the type that the argument means.
fn find(facts: &Facts, argument: &str, in_namespace: bool) -> Result<Type, RequestError> {
    let mut parts = argument.splitn(3, '.');
    let resource = parts.next().unwrap_or_default();
    let (second, third) = (parts.next(), parts.next());
    let known = known(&facts.document, resource);
    // As kubectl does: first RESOURCE.VERSION.GROUP, then RESOURCE.GROUP.
    let in_full = second.zip(third);
    let group = argument.split_once('.').map(|(_, group)| group);
    let full = known.iter().filter(|one| in_full == Some((&one.version, &one.group)));
    let by_group = known.iter().filter(|one| group.is_none_or(|group| group == one.group));
    let mut fitting: Vec<_> = full.collect();
    if fitting.is_empty() {
        fitting = by_group.collect();
    }
    let groups =
        |types: &[&Type]| types.windows(2).any(|pair| matches!(pair, [a, b] if a.group != b.group));
    // The core group comes first for kubectl, too.
    if group.is_none() && fitting.iter().any(|one| one.group.is_empty()) {
        fitting.retain(|one| one.group.is_empty());
    }
    if groups(&fitting) {
        let name = |one: &&Type| format!("{}.{}.{}", one.resource, one.version, one.group);
        let names: Vec<_> = fitting.iter().map(name).collect();
        return Err(RequestError::Ambiguous(resource.to_owned(), names.join(", ")));
    }
    let served = |one: &Type| {
        let found = facts.map.resource(
            one.group.as_bytes(),
            one.version.as_bytes(),
            one.resource.as_bytes(),
            None,
        );
        found.is_some_and(|found| found.destination != Destination::Unavailable)
    };
    let best = fitting.into_iter().max_by_key(|one| (served(one), age(&one.version)));
    match (best, in_full) {
        (Some(Type { group, version, resource, namespaced }), _) => Ok(Type {
            group: group.clone(),
            version: version.clone(),
            resource: resource.clone(),
            namespaced: *namespaced,
        }),
        (None, Some((version, group))) => Ok(Type {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            namespaced: in_namespace,
        }),
        (None, None) => Err(RequestError::Unknown(argument.to_owned())),
    }
}

/// Returns every type of this name.
fn known(document: &MapDocument, resource: &str) -> Vec<Type> {
    let mut types = Vec::new();
    for (group, versions) in &document.groups {
        for (version, by_set) in &versions.0 {
            let has = |names: &Vec<String>| names.iter().any(|name| name == resource);
            let mut resources = by_set.0.values();
            let Some(found) =
                resources.find(|one| has(&one.namespaced) || has(&one.cluster_scoped))
            else {
                continue;
            };
            types.push(Type {
                group: group.clone(),
                version: version.clone(),
                resource: resource.to_owned(),
                namespaced: has(&found.namespaced),
            });
        }
    }
    types
}

/// Returns the rank of a version: `v2` after `v1` after `v2beta1` after `v1beta2` after `v1alpha1`
/// (Kubernetes documentation, "Version priority").
fn age(version: &str) -> (u8, u32, u32) {
    let number = |text: &str| text.parse().unwrap_or_default();
    let rest = version.strip_prefix('v').unwrap_or(version);
    match (rest.split_once("beta"), rest.split_once("alpha")) {
        (Some((major, minor)), _) => (1, number(major), number(minor)),
        (_, Some((major, minor))) => (0, number(major), number(minor)),
        _ => (2, number(rest), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, RequestError, Words, age};
    use crate::facts::tests::facts;

    fn ask(text: &str, namespace: Option<&str>) -> Result<Request, RequestError> {
        let mut parts = text.split(' ');
        let words = Words {
            verb: parts.next().unwrap(),
            resource: parts.next().unwrap(),
            name: parts.next(),
            subresource: parts.next(),
            namespace,
            all_namespaces: false,
        };
        words.request(&facts())
    }

    fn request(text: &str, namespace: Option<&str>) -> String {
        let Request { method, path } = ask(text, namespace).unwrap();
        format!("{method} {path}")
    }

    #[test]
    fn words_become_the_request_that_kubectl_sends() {
        let cases = [
            ("get pods", "GET /api/v1/namespaces/default/pods"),
            ("get pods p", "GET /api/v1/namespaces/default/pods/p"),
            ("get pods p log", "GET /api/v1/namespaces/default/pods/p/log"),
            ("watch nodes", "GET /api/v1/nodes?watch=true"),
            ("patch deployments.apps d", "PATCH /apis/apps/v1/namespaces/default/deployments/d"),
            ("create deployments.v1.apps", "POST /apis/apps/v1/namespaces/default/deployments"),
            ("deletecollection nodes.v1.", "DELETE /api/v1/nodes"),
            ("get things.v1.example.com t", "GET /apis/example.com/v1/things/t"),
        ];
        for (words, expected) in cases {
            assert_eq!(request(words, None), expected);
        }
        assert_eq!(request("list pods", Some("n")), "GET /api/v1/namespaces/n/pods");
        let unknown = request("list things.v1.example.com", Some("n"));
        assert_eq!(unknown, "GET /apis/example.com/v1/namespaces/n/things");
    }

    #[test]
    fn words_that_make_no_request_are_refused_with_what_would() {
        assert!(matches!(ask("frob pods", None), Err(RequestError::Verb(_))));
        assert!(matches!(ask("delete pods", None), Err(RequestError::NoName(_))));
        assert!(matches!(ask("list pods p", None), Err(RequestError::Name(_))));
        let error = ask("list things", None).unwrap_err().to_string();
        assert!(error.contains("things.v1.example.com"), "{error}");
    }

    #[test]
    fn versions_rank_as_kubernetes_ranks_them() {
        let ranked = ["v1alpha1", "v1beta1", "v1beta2", "v2beta1", "v1", "v2"];
        assert!(ranked.windows(2).all(|pair| age(pair[0]) < age(pair[1])));
    }
}
