//! The page of many control planes: a line for each, with a link.

use maud::{Markup, html};

use super::text::count;
use crate::serve::control_planes::{ControlPlaneState, Shown};

pub(super) fn render(control_planes: &[Shown]) -> Markup {
    html! {
        section aria-labelledby="all-title" {
            h2 #all-title { (count(control_planes.len(), "control plane")) }
            div #all data-live {
                @if control_planes.is_empty() { p { "No control plane has a file." } }
                @else { (table(control_planes)) }
            }
        }
    }
}

fn table(control_planes: &[Shown]) -> Markup {
    html! {
        table.cards role="table" {
            thead role="rowgroup" { tr role="row" {
                @for title in ["Name", "State", "Peers in rotation", "Map", "Faults"] {
                    th scope="col" role="columnheader" { (title) }
                }
            } }
            tbody role="rowgroup" { @for shown in control_planes { (row(shown)) } }
        }
    }
}

fn row(shown: &Shown) -> Markup {
    let (class, state) = match shown.state {
        ControlPlaneState::Starting => ("badge warn", "starting"),
        ControlPlaneState::Serving => ("badge good", "serving"),
        ControlPlaneState::Stopped => ("badge bad", "stopped"),
        ControlPlaneState::Refused => ("badge bad", "refused"),
    };
    let faults: Vec<_> = shown.faults.iter().chain(&shown.last_error).cloned().collect();
    html! {
        tr role="row" {
            th scope="row" role="rowheader" {
                // A name is a DNS label.
                a href={ "/control-planes/" (shown.name) } { (shown.name) }
                " " span.note { (shown.server_names.join(", ")) }
            }
            td role="cell" data-label="State" { div { span class=(class) { (state) } } }
            td role="cell" data-label="Peers in rotation" { div { (shown.peers_in_rotation) " of " (shown.peers) } }
            td role="cell" data-label="Map" { div {
                @match shown.map_generation {
                    Some(generation) => { "generation " (generation) }
                    None => "none yet",
                }
            } }
            td role="cell" data-label="Faults" { div {
                @if faults.is_empty() { "none" } @else { (faults.join("; ")) }
            } }
        }
    }
}
