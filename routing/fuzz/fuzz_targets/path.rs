//! Any path is read and decided without a panic, and its query changes nothing.
#![no_main]

use std::sync::LazyLock;

use discovery_map::DiscoveryMap;
use libfuzzer_sys::fuzz_target;
use routing::{RequestPath, decide};

static MAP: LazyLock<DiscoveryMap> = LazyLock::new(|| {
    let golden = include_bytes!("../../../discovery-map/golden/map.json");
    DiscoveryMap::from_json(golden).expect("the golden map is sound")
});

fuzz_target!(|raw: &[u8]| {
    let path = RequestPath::new(raw);
    let decision = decide(&path.target(), &MAP);

    let with_query = [raw, b"?watch=1"].concat();
    let again = RequestPath::new(&with_query);
    assert_eq!(decide(&again.target(), &MAP), decision);
});
