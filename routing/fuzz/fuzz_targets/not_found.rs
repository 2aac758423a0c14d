//! Any 404 of a peer is judged without a panic, whatever it says it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use routing::not_found::{Body, is_type_level};

fuzz_target!(|body: &[u8]| {
    for content_type in
        ["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]
    {
        let _ = is_type_level(content_type.as_bytes(), Body::Whole(body));
    }
});
