//! Any request is planned without a panic, and its query changes nothing.
#![no_main]

use std::sync::LazyLock;

use discovery_map::DiscoveryMap;
use libfuzzer_sys::fuzz_target;
use routing::status::Encoding;
use routing::{Plan, RequestFacts, RequestPath, plan};

static MAP: LazyLock<DiscoveryMap> = LazyLock::new(|| {
    let golden = include_bytes!("../../../discovery-map/golden/map.json");
    DiscoveryMap::from_json(golden).expect("the golden map is valid")
});

fn facts(path: &[u8]) -> RequestFacts<'_> {
    RequestFacts {
        path: RequestPath::new(path),
        method: b"GET",
        accept: b"",
        encoding: Encoding::Json,
        user_agent: b"kubectl/v1.36.3",
        accept_encoding: b"",
        if_none_match: None,
        has_certificate: false,
    }
}

fuzz_target!(|raw: &[u8]| {
    let received = facts(raw);
    let planned = plan(&received, &MAP);
    assert!(planned.explanation(&MAP).ends_with('.'));

    let with_query = [raw, b"?watch=1"].concat();
    let received = facts(&with_query);
    let again = plan(&received, &MAP);
    // The companion is asked by the path as it was received, so the interest differs.
    assert_eq!(Plan { interest: planned.interest, ..again }, planned);
});
