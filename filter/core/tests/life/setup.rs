//! Requests and responses that several areas use.

pub use filter_core::StreamId;
use filter_core::mock::{GOLDEN, MockProxy};
use serde_json::Value;

/// The stream that most tests are about.
pub const STREAM: StreamId = StreamId(1);

/// Every server serves it.
pub const COMMON: &str = "/api/v1/pods";
/// Only `cp-2` serves it.
pub const SKEWED: &str = "/api/v1/namespaces/n/pods/p/resize";
/// Nobody serves it.
pub const UNKNOWN: &str = "/apis/nosuch.io/v1/foos";
/// Only servers out of rotation serve it.
pub const UNAVAILABLE: &str = "/apis/resource.k8s.io/v1alpha3/devicetaintrules";
/// What kubectl accepts for discovery.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// What client-go's protobuf clients accept.
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf,application/json";

/// A type-level 404 in plain text.
pub const TYPE_LEVEL: &[u8] = b"404 page not found\n";
/// The headers of such a 404, whose length is not announced.
pub const PLAIN_404: [(&str, &str); 2] =
    [(":status", "404"), ("content-type", "text/plain; charset=utf-8")];
/// The headers of such a 404 in answer to HEAD.
pub const PLAIN_404_HEAD: [(&str, &str); 3] =
    [(":status", "404"), ("content-type", "text/plain"), ("content-length", "19")];

/// Enters the filter by a kubectl's request for discovery.
pub fn get_discovery(proxy: &MockProxy, stream: StreamId) {
    proxy.request(stream, &[(":method", "GET"), (":path", "/apis"), ("accept", AGGREGATED)]);
}

/// The golden map after a change.
pub fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut map: Value = serde_json::from_str(GOLDEN).unwrap();
    change(&mut map);
    map.to_string()
}
