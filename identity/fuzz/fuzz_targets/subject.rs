//! Any subject is read without a panic, and what is made of it are headers
//! that can be sent and that no client could have sent itself.
#![no_main]

use discovery_map::IdentityHeaders;
use identity::{Claims, Subject, connection};
use libfuzzer_sys::fuzz_target;

const DIGEST: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fuzz_target!(|bytes: &[u8]| {
    let names = IdentityHeaders { uid_headers: vec!["x-remote-uid".into()], ..IdentityHeaders::default() };
    let claims = Claims::new(&names);
    let _ = claims.include(bytes);
    let _ = connection::sanitized(bytes);

    let Ok(subject) = Subject::parse(bytes) else { return };
    let headers = subject.headers(DIGEST, &names).expect("every part has a header");
    for (name, value) in headers {
        assert!(claims.include(name.as_bytes()));
        assert!(!value.is_empty() && value.trim_matches([' ', '\t']) == value);
        assert!(!value.bytes().any(|byte| byte.is_ascii_control()));
    }
});
