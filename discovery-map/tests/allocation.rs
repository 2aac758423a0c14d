//! A look-up runs for every request: it must not allocate.

use std::hint::black_box;

use discovery_map::{DiscoveryMap, DocumentForm};

const GOLDEN: &str = include_str!("../golden/map.json");

#[test]
fn a_look_up_allocates_nothing() {
    let map = DiscoveryMap::from_json(GOLDEN.as_bytes()).unwrap();
    let counted = allocation_counter::measure(|| {
        black_box(map.resource(b"apps", b"v1", b"deployments", Some(b"scale")));
        black_box(map.resource(b"nosuch.io", b"v1", b"foos", None));
        black_box(map.group(b"apps"));
        black_box(map.group_version(b"", b"v1"));
        black_box(map.widest_view());
        black_box(map.document(b"/apis", DocumentForm::AggregatedV2));
        black_box(map.open_api_v3(b"apis/admissionregistration.k8s.io/v1"));
    });
    assert_eq!(counted.count_total, 0);
}
