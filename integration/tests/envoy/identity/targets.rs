//! Request targets that two readers could take for different paths, and what
//! becomes of each over HTTP/1.1 and over HTTP/2.

use Becomes::{AsSent, At, Refused};

/// What becomes of a target. None may do either: if all were refused, nothing
/// would be known of the bytes that arrive.
#[derive(Debug, Clone, Copy)]
pub enum Becomes {
    /// It arrives, byte for byte.
    AsSent,
    /// It arrives as this.
    At(&'static [u8]),
    /// It is refused.
    Refused,
}

/// Targets, with what becomes of each over HTTP/1.1 and over HTTP/2.
pub const TARGETS: &[(&[u8], Becomes, Becomes)] = &[
    (b"/api/v1/namespaces/n/pods/a%2Fb", AsSent, AsSent),
    (b"/api/v1/namespaces/n/pods/a%2fb%5Cc", AsSent, AsSent),
    (b"/api%2Fv1/namespaces/n/secrets", AsSent, AsSent),
    (b"/api/v1/namespaces/../secrets", AsSent, AsSent),
    (b"/api/v1/../../api/v1/secrets", AsSent, AsSent),
    (b"/api/v1/%2e%2e/%2E./secrets", AsSent, AsSent),
    (b"/./api/./v1/./pods", AsSent, AsSent),
    (b"//api/v1/pods", AsSent, AsSent),
    (b"/api//v1///pods//", AsSent, AsSent),
    (b"/api/v1/pods;a=b", AsSent, AsSent),
    (b"/api;/v1/pods/;/x", AsSent, AsSent),
    (b"/api/v1/pods#fragment", Refused, Refused),
    (b"/api/v1/pods%23fragment", AsSent, AsSent),
    (b"/api/v1/pods/%00", AsSent, AsSent),
    (b"/api/v1/pods/%0d%0aX-Remote-User:%20admin", AsSent, AsSent),
    (b"/api/v1/pods?limit=1&continue=%2F..%2F", AsSent, AsSent),
    (b"/api/v1/pods?", AsSent, AsSent),
    (b"/api/v1/pods??a=?b", AsSent, AsSent),
    (b"/api/v1/pods\\..\\secrets", AsSent, AsSent),
    (b"/api/v1/pods/%zz%", AsSent, AsSent),
    (b"/api/v1/pods/\xc3\xa9\xff", Refused, AsSent),
    (b"/api/v1/namespaces/n/services/https:s:443/proxy/a//b/../%2F?x=%20", AsSent, AsSent),
    (b"/API/V1/PODS", AsSent, AsSent),
    (b"/api/v1/pods/{}|^`<>\"", AsSent, AsSent),
    (b"/", AsSent, AsSent),
    (b"/api/v1/pods/a b", Refused, Refused),
    (b"/api/v1/pods\tHTTP/1.1", Refused, Refused),
    (b"http://kubernetes/api/v1//pods/../%2F;x", At(b"/api/v1//pods/../%2F;x"), Refused),
    (b"https://h:443/api/v1/pods?x=//", At(b"/api/v1/pods?x=//"), Refused),
    (b"http://user:password@h/api/v1/pods", At(b"/api/v1/pods"), Refused),
    (b"http://h", At(b"/"), Refused),
    (b"http://h?a=b", Refused, Refused),
    (b"http:///api/v1/pods", Refused, Refused),
    (b"ftp://h/api/v1/pods", Refused, Refused),
    (b"*", Refused, Refused),
    (b"api/v1/pods", Refused, Refused),
    (b"?a", Refused, Refused),
];
