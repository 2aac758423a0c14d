//! Who the client is: from a verified client certificate to the headers by which
//! a front proxy tells kube-apiserver, and which headers no client may send.
//! Everything here is pure and takes any bytes.
//!
//! ```text
//!  what Envoy knows of the connection
//!    subject_peer_certificate ──── Subject::parse ──┐
//!    sha256_peer_certificate_digest ────────────────┴─ headers ──▶ x-remote-user: jane
//!                                                                  x-remote-group: dev
//!  what the client sent                                            x-remote-extra-…: X509SHA256=…
//!    each header, each trailer ── Claims ───▶ removed
//!    Connection of an upgrade ──── connection::sanitized ──▶ "Upgrade, close"
//! ```
//!
//! The user is to be the same whether a certificate is shown to Envoy or to
//! kube-apiserver. There, `CommonNameUserConversion`
//! (k8s.io/apiserver/pkg/authentication/request/x509, the same in 1.35 and
//! 1.36) takes what Go's crypto/x509 reads: the last common name (CN), every
//! organization (O) in the certificate's order, and the user ID
//! (1.3.6.1.4.1.57683.2), if there is one. Here there is only the text that
//! BoringSSL prints. This is where the two differ, and what is done about it:
//!
//! | in the subject | BoringSSL prints | Go | here |
//! |---|---|---|---|
//! | a value that is not a string, or a GeneralString | `#` and its DER | refuses the certificate | refused |
//! | an attribute unknown to BoringSSL | its number, `#` and its DER | reads the string | read as Go does, refused where Go refuses |
//! | a number in such an attribute's type of 2³¹ or more | the number; none from 2⁶⁴ | refuses the certificate | refused |
//! | such an attribute's type of more than 79 characters | the first 79 | reads it | ignored, because it is none of the three |
//! | BMPString with a NUL at its end | `\00` | drops it | in the CN or an O refused, as every control character |
//! | the last CN empty | `CN=` | no user; a token may name one | refused |
//! | an empty O | `O=` | an empty group, which no header can carry | refused |
//! | a control character in the CN, an O or the user ID, or a blank around it | `\0A`, `\ ` | keeps it; no header can carry it | refused |
//! | the first attribute is not one of these, and empty | nothing after its `=`, as if it could not print the value | reads it | refused |
//! | the user ID twice, or empty | both; an empty one | refuses the request | refused |
//! | invalid UTF8String | handshake refused | refuses the certificate | never seen |
//! | UTF8String with a noncharacter (U+FFFF) | handshake refused | reads it | never seen |
//! | UniversalString, VisibleString, UTCTime or GeneralizedTime in a known attribute | the text | refuses the certificate | cannot be told from others: read |
//! | PrintableString or IA5String with characters that are not its own, in a known attribute | the text, as Latin-1 | refuses the certificate | cannot be told from others: read |
//!
//! The last two let a certificate in that kube-apiserver would not, as the user
//! whose name the authority signed: the text is the same, only its type is not.
//! The rows were seen on Envoy 1.40 and Go 1.26, but for GeneralizedTime and for
//! what kube-apiserver says to a user ID, which stand in the sources.

#![forbid(unsafe_code)]

mod claim;
pub mod connection;
mod der;
mod error;
mod headers;
mod name;
mod subject;

pub use claim::Claims;
pub use error::{Field, SubjectError};
pub use subject::Subject;
