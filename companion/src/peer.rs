//! Watching the peers: one task each, which asks and reports, and decides
//! nothing but how the asking went.
//!
//! ```text
//!  config ──▶ Watchers ──spawn──▶ task per peer ──Report──▶ channel ──▶ index
//!                                   ▲      │
//!                                   └Nudge─┘ a change seen at one peer makes
//!                                            the others ask at once
//! ```
//!
//! A round is `/readyz`, and if that is ok the two discovery documents. What a
//! peer that is not ready says of its types is not read: a server that starts
//! lists only a part of them, and its list would take the rest away.

mod client;
mod fetch;
mod identity;
mod judge;
mod origins;
mod prober;
mod request_headers;
mod task;
mod watchers;

pub use client::FetchError;
pub use identity::IdentityError;
pub use origins::OriginsReader;
pub use prober::Prober;
pub use request_headers::Reader as RequestHeadersReader;
pub use watchers::Watchers;
