//! The one decision about a request: its facts and the map → a plan. Whoever
//! carries the plan out (the filter) or shows it (an operator's tool) decides
//! nothing more.
//!
//! ```text
//!  RequestFacts ── target ── decision ──┐
//!       │                               ├── Plan: reason, destination, twin,
//!       ├── merged::access_check ───────┤         access check, interest
//!       ├── skew_policy::keep ──────────┤
//!       └── DiscoveryMap ───────────────┘
//! ```
//!
//! A plan borrows from the facts and the map. Planning a request for a resource
//! allocates nothing (a test).

mod explanation;
mod trace;

use std::borrow::Cow;

use discovery_map::{Destination, DiscoveryMap, FRONT_PROXY_SUFFIX};

use crate::component::ComponentVersion;
use crate::decision::{Decision, OnTypeLevelNotFound, Reason, decide};
use crate::interest::{AwaitedDocument, NotFound, ResponseInterest};
use crate::merged::{self, AccessCheck, ReadOptions};
use crate::path::RequestPath;
use crate::skew_policy::{self, Skew};
use crate::status::Encoding;
use crate::target::Target;
use crate::verb::verb;

/// What a plan depends on, besides the map. Header values are those of the
/// first header of the name, as kube-apiserver reads them; empty if there is
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts<'r> {
    /// The `:path`.
    pub path: RequestPath<'r>,
    /// The `:method`.
    pub method: &'r [u8],
    /// The value of `Accept`.
    pub accept: &'r [u8],
    /// The encoding of a `Status` for this client, by `accept`.
    pub encoding: Encoding,
    /// The value of `User-Agent`: a claim of the client's version, which is read only while servers have
    /// different ones.
    pub user_agent: &'r [u8],
    /// The value of `Accept-Encoding`.
    pub accept_encoding: &'r [u8],
    /// The value of `If-None-Match`.
    pub if_none_match: Option<&'r [u8]>,
    /// Whether the client showed a certificate, so that the front proxy must
    /// say who it is.
    pub has_certificate: bool,
}

/// What happens to one request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    /// What the request asks for.
    pub target: Target<'a>,
    /// Why the plan is this one, for the counters.
    pub reason: Reason,
    /// The serving set that the request goes to, or a part of it.
    pub destination: Destination<'a>,
    /// The component of Kubernetes that sends the request, if its version can matter.
    pub component: Option<ComponentVersion>,
    /// What the version skew policy made of the request, if it mattered.
    pub skew: Option<Skew>,
    /// As in [`RequestFacts`].
    pub has_certificate: bool,
    /// The cluster whose twin carries the request; `None` if the cluster itself
    /// does, as for every client without a certificate.
    pub twin_of: Option<&'a str>,
    /// The request that goes on in place of the client's, if a merged document
    /// is the answer.
    pub access_check: Option<AccessCheck<'a>>,
    /// What of the response matters.
    pub interest: ResponseInterest<'a>,
}

/// Plans one request.
#[must_use]
pub fn plan<'a>(facts: &'a RequestFacts<'_>, map: &'a DiscoveryMap) -> Plan<'a> {
    let target = facts.path.target();
    let access_check = if matches!(facts.method, b"GET" | b"HEAD") {
        merged::access_check(&facts.path, &target, (facts.accept, facts.user_agent), map)
    } else {
        None
    };
    let Decision { destination, on_not_found, reason } = match &access_check {
        Some(check) => Decision::document(check.destination),
        None => decide(&target, map, |t| verb(facts.method, facts.path.query(), t)),
    };
    let component = component(facts, map);
    let (destination, skew) = component.map_or((destination, None), |component| {
        skew_policy::keep(destination, &target, component, map)
    });
    let encoding = facts.encoding;
    let interest = match (&access_check, on_not_found) {
        (Some(check), _) => ResponseInterest::Document(AwaitedDocument {
            path: check.document.path.as_bytes(),
            form: check.document.form,
            options: ReadOptions {
                hash: facts.path.hash(),
                ..ReadOptions::new(facts.if_none_match, facts.accept_encoding, check.encoding)
            },
            encoding,
            passes: false,
        }),
        (None, OnTypeLevelNotFound::Truth) => ResponseInterest::Nothing,
        (None, OnTypeLevelNotFound::Uncertain) => {
            let may_be_empty = matches!(target, Target::OpenApiV3 { .. });
            ResponseInterest::NotFound(NotFound { encoding, may_be_empty, passes: false })
        }
    };
    let has_certificate = facts.has_certificate;
    let twin_of = twin_of(destination, has_certificate, map);
    Plan {
        target,
        reason,
        destination,
        component,
        skew,
        has_certificate,
        twin_of,
        access_check,
        interest,
    }
}

/// Returns the component that sends the request. Most of the time all servers have one version, and
/// then nobody looks.
fn component(facts: &RequestFacts<'_>, map: &DiscoveryMap) -> Option<ComponentVersion> {
    if map.versions_differ() { ComponentVersion::of_user_agent(facts.user_agent) } else { None }
}

/// Returns the cluster whose twin carries a request; `None` if the cluster itself does.
pub(crate) fn twin_of<'a>(
    destination: Destination<'a>,
    has_certificate: bool,
    map: &'a DiscoveryMap,
) -> Option<&'a str> {
    match destination {
        Destination::Default if has_certificate => Some(&*map.default_cluster),
        Destination::Cluster(cluster) if has_certificate => Some(cluster),
        _ => None,
    }
}

impl<'a> Plan<'a> {
    /// The Envoy cluster that carries the request; `None` if it is the route's
    /// own, or none. Allocates for a twin only.
    #[must_use]
    pub fn cluster(&self) -> Option<Cow<'a, str>> {
        match (self.twin_of, self.destination) {
            (Some(cluster), _) => Some(Cow::Owned([cluster, FRONT_PROXY_SUFFIX].concat())),
            (None, Destination::Cluster(cluster)) => Some(Cow::Borrowed(cluster)),
            (None, Destination::Default | Destination::Unavailable) => None,
        }
    }
}

#[cfg(test)]
mod tests;
