//! The sentences that explain a plan to a person.

use std::fmt::{self, Display, Formatter};

use discovery_map::{Destination, DiscoveryMap, DocumentForm, PeerEntry, PeerState};

use super::Plan;
use crate::decision::Reason;
use crate::interest::ResponseInterest;
use crate::merged::AccessCheck;
use crate::skew_policy::{Skew, SkewOutcome};
use crate::target::Target;

impl Plan<'_> {
    /// Explains the plan in English sentences: what happens, why, and which API
    /// servers are meant. `map` is the map that the plan was made with.
    #[must_use]
    pub fn explanation(&self, map: &DiscoveryMap) -> String {
        let mut text = match &self.access_check {
            Some(check) => self.merged(check, map),
            None => self.routed(map),
        };
        text.push_str(&self.skew_policy(map));
        if let Some(cluster) = self.cluster() {
            text.push_str(&format!(" The request goes to the cluster {cluster}."));
        }
        text.push_str(match self.interest {
            _ if self.destination == Destination::Unavailable => "",
            ResponseInterest::Nothing | ResponseInterest::Observed(_) => " A 404 passes.",
            ResponseInterest::NotFound(_) | ResponseInterest::Document(_) => {
                " A type-level 404 passes only if every API server in rotation says the same."
            }
        });
        text
    }

    fn merged(&self, check: &AccessCheck<'_>, map: &DiscoveryMap) -> String {
        let form = match check.document.form {
            DocumentForm::Plain => "plain",
            DocumentForm::AggregatedV2 => "aggregated v2",
            DocumentForm::AggregatedV2beta1 => "aggregated v2beta1",
            DocumentForm::Protobuf => "protobuf",
        };
        let path = &check.document.path;
        let intro = format!("The answer is the merged document {path} ({form})");
        let server = match self.destination {
            Destination::Unavailable => {
                let why = "no API server that can check access to it is in rotation";
                return format!("{intro}, but {why}. The answer is 503.");
            }
            Destination::Default => "any API server in rotation".to_owned(),
            Destination::Cluster(_) => self.peers_or_one(map, " or ").0,
        };
        format!("{intro}, if {server} lets the client read it.")
    }

    fn routed(&self, map: &DiscoveryMap) -> String {
        let target = &self.target;
        let any = "any API server in rotation answers";
        match self.reason {
            Reason::NotAnApi => format!("This is {target}: {any}."),
            Reason::Discovery => match self.destination {
                Destination::Cluster(_) => {
                    let (peers, s) = self.peers_or_one(map, " and ");
                    let has = if s.is_empty() { "have" } else { "has" };
                    format!(
                        "{peers} {has} the most complete view, and answer{s} requests for {target}."
                    )
                }
                _ => format!("All API servers give the same answer for {target}: {any}."),
            },
            Reason::Common => format!("Every API server in rotation serves {target}: {any}."),
            Reason::Skewed => {
                let (peers, s) = self.peers_or_one(map, " and ");
                let by_verb =
                    if self.is_narrowed(map) { " with the verb of this request" } else { "" };
                format!("Only {peers} serve{s} {target}{by_verb}.")
            }
            Reason::Unavailable => {
                let why = "Only API servers out of rotation serve";
                let peers = self.peers(map, " and ").map(|(peers, _)| format!(": {peers}"));
                format!("{why} {target}{}. The answer is 503.", peers.unwrap_or_default())
            }
            Reason::Unknown => format!("No API server serves {target}: {any}."),
            Reason::Undetermined => format!(
                "No API server is known to serve {target}, but the discovery of some has not been read: \
                 {any}.",
            ),
        }
    }

    /// Says what the version skew policy made of the request.
    fn skew_policy(&self, map: &DiscoveryMap) -> String {
        let Some(Skew { component, outcome }) = self.skew else { return String::new() };
        let rule = format!("The client says that it is {component}");
        match outcome {
            SkewOutcome::Kept => match self.chosen(map) {
                Some(chosen) => {
                    let names: Vec<_> = chosen.into_iter().map(named).collect();
                    format!(
                        " {rule}: only servers that are at least as new answer it, here {}.",
                        names.join(" and ")
                    )
                }
                None => format!(" {rule}: servers that are at least as new are asked first."),
            },
            SkewOutcome::NoneServes => {
                format!(
                    " {rule}, but no API server that is at least as new serves this: older ones answer."
                )
            }
            SkewOutcome::NoneInRotation => {
                format!(
                    " {rule}, but no API server in rotation is at least as new: older ones answer."
                )
            }
        }
    }

    /// Returns whether other peers serve the target as well, without the request's verb.
    fn is_narrowed(&self, map: &DiscoveryMap) -> bool {
        let Target::Resource(t) = self.target else { return false };
        let found = map.resource(t.group, t.version, t.resource, t.subresource);
        let own = map.set_of(self.destination);
        found.is_some_and(|found| own.is_some_and(|own| own != found.set))
    }

    /// The names of the peers that serve the target, and the ending of a verb for
    /// them; `None` if the map does not tell.
    fn peers(&self, map: &DiscoveryMap, conjunction: &str) -> Option<(String, &'static str)> {
        let set = map.set_of(self.destination).or_else(|| match self.target {
            Target::Resource(t) => {
                map.resource(t.group, t.version, t.resource, t.subresource).map(|found| found.set)
            }
            _ => None,
        })?;
        let names: Vec<_> = map.peers_of(set).map(named).collect();
        let ending = if names.len() == 1 { "s" } else { "" };
        Some((names.join(conjunction), ending))
    }

    fn peers_or_one(&self, map: &DiscoveryMap, conjunction: &str) -> (String, &'static str) {
        self.peers(map, conjunction).unwrap_or_else(|| ("one API server".to_owned(), "s"))
    }
}

fn named(peer: &PeerEntry) -> String {
    let name = &peer.name;
    match peer.state {
        PeerState::Serving => name.clone(),
        PeerState::NotReady => format!("{name} (not ready)"),
        PeerState::Unreachable => format!("{name} (unreachable)"),
    }
}

impl Display for Target<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        match self {
            Self::NotAnApi => f.write_str("not an API path"),
            Self::Discovery => f.write_str("the discovery of all groups"),
            Self::OpenApiV2 => f.write_str("the OpenAPI v2 document"),
            Self::OpenApiV3 { document, .. } => {
                write!(f, "the OpenAPI v3 document {}", text(document))
            }
            Self::Group(group) => write!(f, "the group {}", text(group)),
            Self::GroupVersion { group: b"", version } => {
                write!(f, "the core version {}", text(version))
            }
            Self::GroupVersion { group, version } => {
                write!(f, "the group version {}/{}", text(group), text(version))
            }
            Self::Resource(target) => {
                if !target.group.is_empty() {
                    write!(f, "{}/", text(target.group))?;
                }
                write!(f, "{} {}", text(target.version), text(target.resource))?;
                match target.subresource {
                    Some(subresource) => write!(f, "/{}", text(subresource)),
                    None => Ok(()),
                }
            }
        }
    }
}
