//! A request and the facts → what the filter does with it, by the code that the filter runs.

use discovery_map::{Destination, DiscoveryMap, Mode};
use routing::interest::ResponseInterest;
use routing::status::Encoding;
use routing::{Plan, Reason, RequestFacts, RequestPath, Target, plan};
use serde::Serialize;

use crate::facts::Facts;
use crate::request::Request;

/// What the client sends with the request, as far as its routing depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'s> {
    pub accept: &'s str,
    pub user_agent: &'s str,
    /// Whether it presents a client certificate.
    pub certificate: bool,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    method: String,
    path: String,
    /// What the request asks for.
    target: String,
    /// The row of the decision table: the label `decision` of the filter's counter.
    rule: &'static str,
    rule_meaning: &'static str,
    /// The peers that serve the target; empty if none is known to.
    serving_set: Vec<String>,
    /// The Envoy cluster; `None` if the filter answers 503.
    cluster: Option<String>,
    /// What Kubernetes' version skew policy makes of the request, if a component sends it and that
    /// matters: the outcome of the filter's counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    skew_policy: Option<&'static str>,
    not_found: NotFound,
    /// The same in sentences.
    explanation: String,
    /// How much of this the filter carries out.
    mode: Mode,
    generation: u64,
}

/// What a type-level 404 means to the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum NotFound {
    /// It passes.
    Passes,
    /// It passes if every peer in rotation says it.
    Doubtful,
    /// It never passes: what the map does not know may exist.
    NeverPasses,
    /// No server is asked.
    NoServer,
}

impl Explanation {
    /// Explains a request.
    pub fn of(request: Request, sent: Sent<'_>, facts: &Facts) -> Self {
        let map = &facts.map;
        let of_request = RequestFacts {
            path: RequestPath::new(request.path.as_bytes()),
            method: request.method.as_bytes(),
            accept: sent.accept.as_bytes(),
            encoding: Encoding::from_accept(sent.accept.as_bytes()),
            user_agent: sent.user_agent.as_bytes(),
            accept_encoding: b"",
            if_none_match: None,
            has_certificate: sent.certificate,
        };
        let plan = plan(&of_request, map);
        let unavailable = plan.destination == Destination::Unavailable;
        let cluster = plan.cluster().map_or_else(|| map.default_cluster.clone(), String::from);
        Self {
            target: plan.target.to_string(),
            rule: plan.reason.as_str(),
            rule_meaning: meaning(plan.reason),
            serving_set: serving_set(&plan, map),
            cluster: (!unavailable).then_some(cluster),
            skew_policy: plan.skew.map(|skew| skew.outcome.as_str()),
            not_found: not_found(&plan),
            explanation: plan.explanation(map),
            mode: map.mode,
            generation: map.generation,
            method: request.method.clone(),
            path: request.path.clone(),
        }
    }

    /// Writes the explanation for people.
    pub fn text(&self) -> String {
        let set = self.serving_set.join(", ");
        let set = if set.is_empty() { "none is known".to_owned() } else { set };
        let cluster = self.cluster.as_deref().unwrap_or("none: the filter answers 503");
        let lines = [
            ("Request", format!("{} {}", self.method, self.path)),
            ("Target", self.target.clone()),
            ("Rule", format!("{}: {}", self.rule, self.rule_meaning)),
            ("Serving set", set),
            ("Cluster", cluster.to_owned()),
            ("A 404", self.not_found.text().to_owned()),
            ("Mode", mode(self.mode).to_owned()),
            ("Map", format!("generation {}", self.generation)),
        ];
        let skew_policy = self.skew_policy.map(|outcome| ("Skew policy", outcome.to_owned()));
        let lines = lines.into_iter().chain(skew_policy);
        let lines: String =
            lines.map(|(name, value)| format!("{:<13}{value}\n", format!("{name}:"))).collect();
        format!("{lines}\n{}\n", self.explanation)
    }
}

impl NotFound {
    fn text(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Doubtful => {
                "for the type passes only if every API server in rotation says it, else it becomes 503"
            }
            Self::NeverPasses => "for the type becomes 503, because not every API server is known",
            Self::NoServer => "is not possible: no server is asked",
        }
    }
}

fn not_found(plan: &Plan<'_>) -> NotFound {
    match (plan.destination, plan.interest, plan.reason) {
        (Destination::Unavailable, ..) => NotFound::NoServer,
        (_, ResponseInterest::Nothing, _) => NotFound::Passes,
        (_, _, Reason::Undetermined) => NotFound::NeverPasses,
        _ => NotFound::Doubtful,
    }
}

/// Returns the names of the peers that serve the target.
fn serving_set(plan: &Plan<'_>, map: &DiscoveryMap) -> Vec<String> {
    let of_destination = map.set_of(plan.destination);
    let set = of_destination.or_else(|| match plan.target {
        Target::Resource(t) => {
            Some(map.resource(t.group, t.version, t.resource, t.subresource)?.set)
        }
        _ => None,
    });
    let peers = set.into_iter().flat_map(|set| map.peers_of(set));
    peers.map(|peer| peer.name.clone()).collect()
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Reroute => "reroute: no 404 becomes 503",
        Mode::Shadow => "shadow: the filter only counts what it would have changed",
    }
}

fn meaning(reason: Reason) -> &'static str {
    match reason {
        Reason::NotAnApi => "not an API path, which any API server answers",
        Reason::Discovery => "a discovery document",
        Reason::Common => "every API server in rotation serves it",
        Reason::Skewed => "only some API servers in rotation serve it",
        Reason::Unavailable => "only API servers out of rotation serve it",
        Reason::Unknown => "no API server serves it",
        Reason::Undetermined => {
            "no API server is known to serve it, but the discovery of some has not been read"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Explanation, Sent};
    use crate::facts::tests::facts;
    use crate::request::Request;

    const SENT: Sent<'_> =
        Sent { accept: "application/json", user_agent: "kubectl", certificate: false };

    fn explain(path: &str, sent: Sent<'_>) -> Explanation {
        let request = Request { method: "GET".to_owned(), path: path.to_owned() };
        Explanation::of(request, sent, &facts())
    }

    #[test]
    fn the_version_of_a_component_is_explained() {
        let sent = Sent { user_agent: "kubelet/v1.37.0 (linux/amd64) kubernetes/1a2b3c4", ..SENT };
        let text = explain("/api/v1/pods", sent).text();
        assert!(text.contains("Cluster:     kube-apiserver__from-1-37\n"), "{text}");
        assert!(text.contains("Skew policy: kept\n"), "{text}");
        assert!(text.contains("The client says that it is kubelet 1.37"), "{text}");
        assert!(!explain("/api/v1/pods", SENT).text().contains("Skew policy"));
    }

    #[test]
    fn a_skewed_type_goes_to_the_peers_that_serve_it() {
        let text = explain("/api/v1/namespaces/n/pods/p/resize", SENT).text();
        let expected = "\
Request:     GET /api/v1/namespaces/n/pods/p/resize
Target:      v1 pods/resize
Rule:        skewed: only some API servers in rotation serve it
Serving set: cp-2
Cluster:     kube-apiserver_cp-2
A 404:       for the type passes only if every API server in rotation says it, else it becomes 503
Mode:        enforce
Map:         generation 42

Only cp-2 serves v1 pods/resize. The request goes to the cluster kube-apiserver_cp-2. \
A type-level 404 passes only if every API server in rotation says the same.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn each_rule_names_its_cluster_and_what_a_404_means() {
        let certificate = Sent { certificate: true, ..SENT };
        let cases = [
            ("/api/v1/nodes", SENT, "common", Some("kube-apiserver"), "\"doubtful\""),
            (
                "/api/v1/nodes",
                certificate,
                "common",
                Some("kube-apiserver__front-proxy"),
                "\"doubtful\"",
            ),
            ("/healthz", SENT, "not_an_api", Some("kube-apiserver"), "\"passes\""),
            (
                "/apis/nosuch.io/v1/things",
                SENT,
                "unknown",
                Some("kube-apiserver__rotation"),
                "\"doubtful\"",
            ),
            (
                "/apis/resource.k8s.io/v1alpha3/devicetaintrules",
                SENT,
                "unavailable",
                None,
                "\"noServer\"",
            ),
        ];
        for (path, sent, rule, cluster, not_found) in cases {
            let found = explain(path, sent);
            assert_eq!((found.rule, found.cluster.as_deref()), (rule, cluster), "{path}");
            assert_eq!(serde_json::to_string(&found.not_found).unwrap(), not_found, "{path}");
        }
        let gone = explain("/apis/resource.k8s.io/v1alpha3/devicetaintrules", SENT);
        assert_eq!(gone.serving_set, ["cp-3"]);
    }
}
