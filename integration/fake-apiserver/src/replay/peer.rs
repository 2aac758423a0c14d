//! The state of a peer, which its connections and its handle share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use anyhow::Result;
use axum::http::{HeaderMap, StatusCode};

use super::crd::Crd;
use super::documents::Changes;
use super::open_api::OpenApiDocuments;
use super::store::Store;
use super::view::View;
use crate::recordings::Recording;

/// The header that says which peer gave an answer.
pub const PEER_HEADER: &str = "x-peer";

/// An answer that a test prescribes for a path.
#[derive(Debug, Clone)]
pub struct Canned {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// How the body ends.
    pub end: CannedEnd,
    /// How long the peer waits before it answers.
    pub delay: Duration,
}

/// How the body of a canned answer ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CannedEnd {
    /// Properly.
    #[default]
    Complete,
    /// Properly, with a trailer.
    Trailers,
    /// Properly, after a pause that follows its first bytes.
    Paused,
    /// Before its end: the connection or stream is reset.
    Broken,
    /// Never: spaces follow for as long as the client reads.
    Endless,
    /// Never: nothing follows.
    Stalled,
}

/// The demands of a peer on its clients, and what it keeps from them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The bearer token without which every request but `/version` is a 401.
    pub token: Option<String>,
    /// Whether discovery is a 406 unless the client asks for the server's own
    /// view (`profile=nopeer`).
    pub own_view_only: bool,
    /// Whether discovery has only its older forms, regardless of `Accept`.
    pub older_forms_only: bool,
}

impl Default for Canned {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Vec::new(),
            end: CannedEnd::Complete,
            delay: Duration::ZERO,
        }
    }
}

/// The part of a peer that its connections and its handle share.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) store: Store,
    pub(super) state: RwLock<State>,
    pub(super) requests: AtomicU64,
    pub(super) whole_documents: AtomicU64,
}

/// The state of a peer: its recording, and the changes of the test.
#[derive(Debug)]
pub(super) struct State {
    pub(super) recording: Arc<Recording>,
    /// The changes of the test; custom resources of the store come on top.
    pub(super) changes: Changes,
    /// The custom resources that `view` has from the store.
    pub(super) learned: Vec<Crd>,
    pub(super) view: Arc<View>,
    pub(super) canned: BTreeMap<String, Canned>,
    pub(super) open_api: OpenApiDocuments,
    pub(super) rules: Rules,
    pub(super) ready: bool,
    pub(super) learns_crds: bool,
}

impl Peer {
    /// Returns what the peer serves, and what the test did to that.
    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the same, to change what does not change the view.
    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the peer serves at this moment.
    pub(super) fn view(&self) -> Result<Arc<View>> {
        let learned = {
            let state = self.state();
            let learned = self.crds_of_store(&state);
            if learned == state.learned {
                return Ok(Arc::clone(&state.view));
            }
            learned
        };
        self.change(|state| state.learned = learned)?;
        Ok(Arc::clone(&self.state().view))
    }

    fn crds_of_store(&self, state: &State) -> Vec<Crd> {
        if !state.learns_crds {
            return state.learned.clone();
        }
        let (_, objects) =
            self.store.list("apiextensions.k8s.io", "customresourcedefinitions", None);
        objects.iter().filter_map(|(_, object)| Crd::from_object(object)).collect()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state_mut();
        change(&mut state);
        let mut changes = state.changes.clone();
        changes.crds.extend(state.learned.iter().cloned());
        state.view = Arc::new(View::new(Arc::clone(&state.recording), changes)?);
        Ok(())
    }
}
