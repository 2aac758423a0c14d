//! The matrix of skew: what only some peers serve, by peer. Pure.

use discovery_map::{MapDocument, PeerState};
use maud::{Markup, html};

use super::text::{count, name};
use crate::history::{Availability, availability, state};

/// How many rows are shown, and how many resources in each.
const MOST_ROWS: usize = 200;
const MOST_RESOURCES: usize = 40;

/// What is served by the same peers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// A group-version, or a verb of a resource.
    pub title: String,
    /// The resources of the group-version.
    pub resources: Vec<String>,
    pub availability: Availability,
    /// By peer.
    pub served: Vec<bool>,
}

/// Returns the rows of what not every peer in rotation serves.
pub(super) fn rows(map: &MapDocument) -> Vec<Row> {
    let mut rows = Vec::new();
    for (group, version, set, resources) in map.resources_by_set() {
        let mut resources: Vec<_> = resources.names().map(str::to_owned).collect();
        resources.sort_unstable();
        if !resources.is_empty() {
            let slash = if group.is_empty() { "" } else { "/" };
            rows.extend(row(map, set, format!("{group}{slash}{version}"), resources));
        }
    }
    for (name, by_verb) in &map.verbs {
        for (verb, set) in &by_verb.0 {
            let name = name.trim_start_matches('/');
            rows.extend(row(
                map,
                *set,
                format!("{verb} of {name}", verb = verb.as_str()),
                Vec::new(),
            ));
        }
    }
    rows
}

fn row(map: &MapDocument, set: u16, title: String, resources: Vec<String>) -> Option<Row> {
    let availability = availability(map, set);
    let members = &map.sets.get(usize::from(set))?.peers;
    let served = (0..).take(map.peers.len()).map(|peer| members.contains(&peer)).collect();
    (availability != Availability::Everywhere).then_some(Row {
        title,
        resources,
        availability,
        served,
    })
}

/// Shows the matrix.
pub(super) fn render(map: &MapDocument) -> Markup {
    let rows = rows(map);
    if rows.is_empty() {
        return html! { p { "Every peer in rotation serves the same types." } };
    }
    let more = rows.len().saturating_sub(MOST_ROWS);
    html! {
        // It can be scrolled, also by the keyboard.
        div.wide #matrix-scroll tabindex="0" role="region" aria-label="Types by peer" {
            table.matrix {
                thead { tr {
                    th scope="col" { "Types" }
                    @for peer in &map.peers {
                        th scope="col" {
                            (peer.name)
                            @if peer.state != PeerState::Serving { " " span.note { (state(peer.state)) } }
                        }
                    }
                } }
                tbody { @for row in rows.iter().take(MOST_ROWS) { (render_row(map, row)) } }
            }
        }
        @if more > 0 { p { "And " (count(more, "more row")) ": " code { "/v1/map" } " has all." } }
    }
}

fn render_row(map: &MapDocument, row: &Row) -> Markup {
    let more = row.resources.len().saturating_sub(MOST_RESOURCES);
    html! {
        tr {
            th scope="row" {
                span.title { (name(&row.title)) }
                @if row.availability == Availability::Nowhere { " " span.badge.bad { "orphaned" } }
                @if !row.resources.is_empty() {
                    " " span.resources {
                        @for (at, name) in row.resources.iter().take(MOST_RESOURCES).enumerate() {
                            @if at > 0 { ", " } (name)
                        }
                        @if more > 0 { " and " (more) " more" }
                    }
                }
            }
            @for (peer, served) in map.peers.iter().zip(&row.served) {
                @match (served, peer.state) {
                    (true, PeerState::Serving) => td.yes { "serves" }
                    (true, _) => td.was { "served" }
                    (false, _) => td.no { "no" }
                }
            }
        }
    }
}
