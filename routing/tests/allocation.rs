//! Every request is planned: for a resource that must not allocate.

use std::hint::black_box;

use discovery_map::DiscoveryMap;
use routing::status::Encoding;
use routing::{RequestFacts, RequestPath, plan};

const GOLDEN: &str = include_str!("../../discovery-map/golden/map.json");

#[test]
fn planning_a_request_for_a_resource_allocates_nothing() {
    let map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
    for path in [
        "/api/v1/namespaces/n/pods?limit=500",
        "/api/v1/namespaces/n/pods/p/resize",
        "/apis/apps/v1/namespaces/n/deployments/d/scale?watch=1",
        "/apis/resource.k8s.io/v1alpha3/devicetaintrules",
        "/apis/nosuch.io/v1/foos",
        "/healthz",
    ] {
        let counted = allocation_counter::measure(|| {
            let accept = b"application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
            let facts = RequestFacts {
                path: RequestPath::new(path.as_bytes()),
                method: b"GET",
                accept,
                encoding: Encoding::from_accept(accept),
                user_agent: b"kubectl/v1.36.3",
                accept_encoding: b"gzip",
                if_none_match: None,
                has_certificate: false,
            };
            black_box(plan(&facts, &map).cluster());
        });
        assert_eq!(counted.count_total, 0, "{path}");
    }
}
