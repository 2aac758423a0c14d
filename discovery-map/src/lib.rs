//! The contract between the companion and the filter.
//!
//! The companion merges what every peer serves into one [`DiscoveryMap`] and
//! pushes it; the filter looks each request's target up in it. One type, one
//! codec and one golden file (`golden/map.json`) serve both sides.
//!
//! ```text
//!  companion                                             filter
//!  index ── Document ── to_json ── ECDS ── from_json ── DiscoveryMap ── lookup
//! ```
//!
//! [`Document`] is the form on the wire, [`DiscoveryMap`] the validated one. A
//! map exists only if the whole document is sound: [`Faults`] names everything
//! that is wrong with it, each fault with its place.
//!
//! A look-up allocates nothing and takes time logarithmic in the map's size.

#![forbid(unsafe_code)]

mod document;
mod fault;
mod map;
mod validate;

pub use document::{
    BySet, Document, DocumentForm, FRONT_PROXY_SUFFIX, Identity, MergedDocument, OpenApi,
    PeerEntry, PeerState, Resources, ResourcesBySet, SCHEMA_VERSION, SetEntry, StrictNotFound,
    Versions,
};
pub use fault::{Fault, Faults};
pub use map::{DiscoveryMap, Found, MergedEntry, Packed, Route, Scope};
