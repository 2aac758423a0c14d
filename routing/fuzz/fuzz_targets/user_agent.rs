//! Any `User-Agent` is read without a panic; what is read is what the value begins with; and whatever
//! it claims, the request goes to a cluster of its target.
#![no_main]

use std::sync::LazyLock;

use discovery_map::{Destination, DiscoveryMap};
use libfuzzer_sys::fuzz_target;
use routing::status::Encoding;
use routing::{ComponentVersion, RequestFacts, RequestPath, plan};

static MAP: LazyLock<DiscoveryMap> = LazyLock::new(|| {
    let golden = include_bytes!("../../../discovery-map/golden/map.json");
    DiscoveryMap::from_json(golden).expect("the golden map is valid")
});

fuzz_target!(|value: &[u8]| {
    if let Some(ComponentVersion { component, version }) = ComponentVersion::of_user_agent(value) {
        let rest = value.strip_prefix(component.as_str().as_bytes()).expect("the program is first");
        let rest = rest.strip_prefix(b".exe").unwrap_or(rest);
        assert!(rest.starts_with(format!("/v{version}").as_bytes()));
    }
    for path in ["/api/v1/pods", "/api/v1/namespaces/n/pods/p/resize", "/apis/nosuch.io/v1/foos"] {
        let facts = |user_agent| RequestFacts {
            path: RequestPath::new(path.as_bytes()),
            method: b"GET",
            accept: b"",
            encoding: Encoding::Json,
            user_agent,
            accept_encoding: b"",
            if_none_match: None,
            has_certificate: false,
        };
        let (claimed, honest) = (facts(value), facts(b"kubectl/v1.36.3"));
        let (claimed, honest) = (plan(&claimed, &MAP), plan(&honest, &MAP));
        assert_eq!(claimed.interest, honest.interest);
        assert_eq!(claimed.reason, honest.reason);
        let set = MAP.set_of(honest.destination);
        assert!(claimed.destination != Destination::Unavailable && MAP.set_of(claimed.destination) == set);
        assert!(claimed.explanation(&MAP).ends_with('.'));
    }
});
