//! Any bytes in place of a merged document are written in every encoding, or refused, without a
//! panic; and what is indented stays the same JSON.
#![no_main]

use discovery_map::DocumentEncoding;
use libfuzzer_sys::fuzz_target;
use routing::encode;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    let encoded = DocumentEncoding::ALL.map(|encoding| encode(json, encoding));
    if let ([_, Some(indented), ..], Ok(value)) = (encoded, serde_json::from_slice::<Value>(json)) {
        assert_eq!(serde_json::from_slice::<Value>(&indented).expect("it is JSON"), value);
    }
});
