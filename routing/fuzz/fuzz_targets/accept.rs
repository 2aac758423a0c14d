//! Any `Accept` header is negotiated without a panic, and whoever gets a merged
//! document gets it in a form that the map has, and in an encoding that it has.
#![no_main]

use std::sync::LazyLock;

use discovery_map::{DiscoveryMap, DocumentEncoding, DocumentForm, MapDocument};
use libfuzzer_sys::fuzz_target;
use routing::status::Encoding;
use routing::{RequestFacts, RequestPath, plan};

const PATHS: [&str; 4] = ["/apis", "/api/v1", "/openapi/v3", "/api/v1/pods"];

/// The golden map with a merged document in every form.
static MAP: LazyLock<DiscoveryMap> = LazyLock::new(|| {
    let golden = include_str!("../../../discovery-map/golden/map.json");
    let mut map: MapDocument = serde_json::from_str(golden).expect("the golden map is valid");
    let golden = map.documents.remove(0);
    // OpenAPI alone is merged in protobuf.
    let of_discovery = DocumentForm::ALL.into_iter().filter(|form| *form != DocumentForm::Protobuf);
    let forms = of_discovery.map(|form| ("/apis", form));
    let plain = [("/api/v1", DocumentForm::Plain), ("/openapi/v3", DocumentForm::Plain)];
    for (path, form) in forms.chain(plain) {
        let mut document = golden.clone();
        (document.path, document.form) = (path.to_owned(), form);
        map.documents.push(document);
    }
    DiscoveryMap::try_from(map).expect("the map is valid")
});

fuzz_target!(|accept: &[u8]| {
    for path in PATHS {
        let facts = RequestFacts {
            path: RequestPath::new(path.as_bytes()),
            method: b"GET",
            accept,
            encoding: Encoding::from_accept(accept),
            user_agent: accept,
            accept_encoding: accept,
            if_none_match: Some(accept),
            has_certificate: false,
        };
        if let Some(check) = plan(&facts, &MAP).access_check {
            assert!(MAP.document(path.as_bytes(), check.document.form).is_some());
            assert!(path == "/apis" || check.document.form == DocumentForm::Plain);
            assert!(path != "/openapi/v3" || check.encoding == DocumentEncoding::Json);
        }
    }
});
