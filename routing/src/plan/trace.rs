//! How a request was decided, in one line for logs and a response header.

use discovery_map::{Destination, DiscoveryMap, PeerEntry};

use super::Plan;
use crate::component::ComponentVersion;
use crate::skew_policy::{Skew, SkewOutcome};
use crate::target::Target;

impl Plan<'_> {
    /// Returns the reason of a plan, the serving set if it is not the whole rotation, whether the answer
    /// is a merged document, what the version skew policy made of a component's request, and the mode
    /// unless it is `enforce`: a dictionary of RFC 9651, such as `reason=skewed, servers=("cp-2")` or
    /// `reason=common, servers=("cp-2"), skew-policy=kept;component=kubelet;version="1.37"`. `map` is the
    /// map that the plan was made with.
    #[must_use]
    pub fn trace(&self, map: &DiscoveryMap) -> String {
        let mut text = format!("reason={}", self.reason.as_str());
        if let Some(peers) = self.chosen(map) {
            let names = peers.iter().map(|peer| format!("\"{}\"", peer.name));
            text.push_str(&format!(", servers=({})", names.collect::<Vec<_>>().join(" ")));
        }
        if self.access_check.is_some() {
            text.push_str(", merged");
        }
        if let Some(Skew { component: ComponentVersion { component, version }, outcome }) =
            self.skew
        {
            let (component, outcome) = (component.as_str(), outcome.as_str());
            text.push_str(&format!(
                ", skew-policy={outcome};component={component};version=\"{version}\""
            ));
        }
        if map.mode != discovery_map::Mode::Enforce {
            text.push_str(&format!(", mode={}", map.mode));
        }
        text
    }

    /// Returns the servers that were chosen. `None` if that is the whole rotation, or not known.
    pub(super) fn chosen<'m>(&self, map: &'m DiscoveryMap) -> Option<Vec<&'m PeerEntry>> {
        let set = self.partial_set(map)?;
        Some(match self.skew {
            Some(Skew { component, outcome: SkewOutcome::Kept }) => {
                map.peers_at_least(set, component.version).collect()
            }
            _ => map.peers_of(set).collect(),
        })
    }

    /// Returns the serving set. `None` if that is the whole rotation, or not known.
    fn partial_set(&self, map: &DiscoveryMap) -> Option<u16> {
        match self.destination {
            Destination::Default => None,
            Destination::Cluster(_) => map.set_of(self.destination),
            Destination::Unavailable => match self.target {
                Target::Resource(t) => {
                    let found = map.resource(t.group, t.version, t.resource, t.subresource);
                    found.map(|found| found.set)
                }
                _ => None,
            },
        }
    }
}
