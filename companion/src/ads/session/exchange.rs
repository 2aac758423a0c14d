//! What a companion and an Envoy say to each other, in either form of the protocol.

use std::sync::Arc;

use crate::ads::kind::Kind;
use crate::ads::resource::Resource;

/// How many names of one type an Envoy may ask for. A thousand control planes have 8,000 clusters.
pub const MOST_NAMES: usize = 20_000;

/// How many bytes these names may have.
pub const MOST_BYTES: usize = 2 << 20;

/// The bytes of a version, on average: those of ten endpoints with IPv6 addresses, which are their
/// text, and of the fields around it.
const VERSION: usize = 10 * "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535,".len() + 32;

/// The largest request, in bytes. In the first one of each type, an Envoy names what it asks for, and
/// what it has, with the versions.
pub const LARGEST_REQUEST: usize = 2 * MOST_BYTES + MOST_NAMES * VERSION;

/// What an Envoy says, in either form of the protocol.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: Kind,
    pub subscribe: Vec<String>,
    pub unsubscribe: Vec<String>,
    /// Whether the Envoy has something of this type from an earlier stream.
    pub resumes: bool,
    /// The versions that it says it has from an earlier stream.
    pub versions: Vec<(String, String)>,
    /// The push that it answers. Empty if it answers none.
    pub nonce: String,
    /// Why it refuses that push.
    pub refusal: Option<String>,
}

/// What is sent at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    pub kind: Kind,
    pub nonce: String,
    pub upserts: Vec<Arc<Resource>>,
    pub removed: Vec<String>,
    /// The generation of the maps in it. No other push to this Envoy has it.
    pub generation: u64,
}

/// The end of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub kind: Kind,
    pub outcome: Outcome,
}

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Acknowledged,
    /// The Envoy refused what one control plane published. Nothing else was in the push.
    Refused {
        /// The prefix of its clusters. Empty for listeners.
        part: String,
        reason: String,
    },
    /// The Envoy refused a push that had something of several control planes. It is repeated in
    /// smaller ones.
    Divided,
}

/// The Envoy asks for more than exists anywhere.
#[derive(Debug, thiserror::Error)]
#[error("more than {MOST_NAMES} names of one type, or more than {MOST_BYTES} bytes")]
pub struct TooManyNames;

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
    use prost::Message;

    use super::*;

    #[test]
    fn an_envoy_may_ask_for_as_many_names_as_it_may_have() {
        let name = |number: usize| format!("{number:0>width$}", width = MOST_BYTES / MOST_NAMES);
        let endpoint = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        let names = || (0..MOST_NAMES).map(name);
        let request = DeltaDiscoveryRequest {
            type_url: Kind::Endpoints.url().to_owned(),
            resource_names_subscribe: names().collect(),
            initial_resource_versions: names()
                .map(|name| (name, [endpoint; 10].join(",")))
                .collect(),
            ..DeltaDiscoveryRequest::default()
        };
        let length = request.encoded_len();
        assert!(length <= LARGEST_REQUEST, "{length}");
        assert!(length * 4 > LARGEST_REQUEST * 3, "{length}");
    }
}
