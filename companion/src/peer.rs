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

use std::sync::Arc;
use std::time::Instant;

use crate::config::Peer;
use api_discovery::{Aggregated, OpenApiIndex};
use api_discovery::{Listing, Part};

pub use client::FetchError;
pub use identity::IdentityError;
pub use origins::OriginsReader;
pub use prober::Prober;
pub use request_headers::Reader as RequestHeadersReader;
pub use watchers::Watchers;

/// What one round at one peer found.
#[derive(Debug)]
pub struct Report {
    /// The peer, with the address that was asked.
    pub peer: Peer,
    /// When the round began. Rounds of the prober overlap with those of the
    /// peer's task, so reports can arrive in another order.
    pub asked: Instant,
    /// What was found.
    pub observation: Observation,
}

/// What a round found.
#[derive(Debug)]
pub enum Observation {
    /// `/readyz` says ok.
    Serving {
        /// What each half of discovery said.
        readings: [(Part, Reading); 2],
        /// The version, when it was read in this round.
        version: Option<Arc<str>>,
        /// The index of OpenAPI v3, or why it could not be read, when the peer
        /// was asked for it in this round and has one.
        open_api: Option<Result<Box<OpenApiIndex>, String>>,
    },
    /// Asked for its types alone, it told them: whether it is ready was not
    /// asked.
    Discovered {
        /// What each half of discovery said.
        readings: [(Part, Reading); 2],
    },
    /// It answers, but not that it is ready.
    NotReady {
        /// How it answered.
        reason: String,
    },
    /// It cannot be reached.
    Unreachable {
        /// How the attempt ended.
        reason: String,
    },
    /// Nothing was learnt: its state stays as it was.
    Inconclusive {
        /// Why.
        reason: String,
    },
}

/// What was read of one half of a peer's discovery.
#[derive(Debug)]
pub enum Reading {
    /// The same as the last time.
    Unchanged,
    /// This: the names, and the document that has them.
    Listed(Listing, Box<Aggregated>),
    /// It could not be read; what was known stays.
    Failed(String),
}
