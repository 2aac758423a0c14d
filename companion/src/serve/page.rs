//! The status page: what an operator wants to see first, for a browser and for a text browser.
//!
//! ```text
//!  views ──▶ Model (plain data) ──▶ Markup (escaped) ──▶ one document, with its style and its script
//!                                                            │ script: /v1/events says that something
//!                                                            └─▶ changed, and the page is read again
//! ```
//!
//! Everything is in the document that the server sends: without the script, only the updates are
//! missing. The script makes no HTML, so that each part of the page is made in one place, and
//! what peers and Envoys say is escaped by the template alone. The browser loads and runs nothing
//! else (`Content-Security-Policy`).

mod control_plane;
mod control_planes;
mod document;
mod envoys;
mod matrix;
#[cfg(test)]
mod tests;
mod text;

use axum::response::Response;

use super::control_planes::{ControlPlaneView, ControlPlanes};
use crate::ads::Envoys;
use crate::clock::since_1970;
use control_plane::Model;
use document::Page;

/// Returns the page of a control plane. `beside_others`: it is one of many.
pub fn of_control_plane(
    name: &str,
    beside_others: bool,
    view: &ControlPlaneView,
    envoys: &Envoys,
) -> Response {
    let envoys = envoys.view();
    let model = Model {
        name,
        beside_others,
        peers: view.peers.borrow().clone(),
        answering: *view.answering.borrow(),
        outcome: view.outcomes.borrow().clone(),
        source: view.source.borrow().clone(),
        record: view.history.borrow().clone(),
        envoys: envoys.of_control_plane(name),
        now: since_1970(),
    };
    Page { title: name, events: Some(model.events()), now: model.now, sections: model.render() }
        .answer()
}

/// Returns the page of many control planes.
pub fn of_all(all: &ControlPlanes) -> Response {
    let sections = control_planes::render(&all.shown());
    Page { title: "Control planes", events: None, now: since_1970(), sections }.answer()
}
