//! The contract between the companion and the filter.
//!
//! The companion merges what every peer serves into one [`DiscoveryMap`] and
//! pushes it; the filter looks each request's target up in it. One type, one
//! codec and one golden file (`golden/map.json`) serve both sides. So do the
//! names of headers.
//!
//! ```text
//!  companion                                             filter
//!  index ── MapDocument ── to_json ── ECDS ── from_json ── DiscoveryMap ── lookup
//! ```
//!
//! [`MapDocument`] is the form on the wire, [`DiscoveryMap`] the validated one. A
//! map exists only if the whole document is valid: [`Faults`] names everything
//! that is wrong with it, each fault with its place.
//!
//! A lookup allocates nothing and takes time logarithmic in the map's size.

#![forbid(unsafe_code)]

mod codec;
mod content;
mod fault;
mod header;
mod map;
mod map_document;
mod minor_version;
mod mode;
mod skew;
mod validate;
mod verb;

pub use codec::{Documents, Library, Packed, Packer};
pub use content::{Content, DocumentEncoding};
pub use fault::{Fault, Faults};
pub use header::{
    ACCEPT_AGGREGATED_DISCOVERY, ACCEPT_JSON, CLUSTER_HEADER, DECISION_HEADER, DOUBT_HEADER,
    DOUBT_MARK, FRONT_PROXY_SUFFIX, ROTATION_SUFFIX, SETS_SUFFIX, has_header_prefix, is_header,
    is_lowercase_token, is_reserved, is_reserved_prefix,
};
pub use map::{Destination, DiscoveryMap, Found, MergedEntry, Scope};
pub use map_document::{
    BySet, DocumentForm, IdentityHeaders, Ignored, MapDocument, MergedDocument, NO_MAP, OpenApi,
    PeerEntry, PeerState, Resources, SCHEMA_VERSION, SetEntry, SetsByVerb, Versions,
};
pub use minor_version::{InvalidMinorVersion, MinorVersion};
pub use mode::Mode;
pub use skew::{AT_LEAST_INFIX, at_least, at_least_cluster};
pub use verb::Verb;
