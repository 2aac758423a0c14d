//! The sections of the page of one control plane.

use std::time::Duration;

use api_discovery::MinorVersion;
use discovery_map::PeerState;
use maud::{Markup, html};

use super::text::{count, duration, moment};
use super::{envoys, matrix};
use crate::ads::EnvoyView;
use crate::facts::PeerStatus;
use crate::history::{Entry, Record, state};
use crate::publish::Outcome;
use crate::sources::{SourceState, SourceStatus};

/// How many changes are shown at once. The others are behind a button.
const RECENT: usize = 15;

/// What the page shows: plain data of one moment.
pub(super) struct Model<'m> {
    pub name: &'m str,
    /// Whether it is one of many control planes.
    pub beside_others: bool,
    pub peers: Vec<PeerStatus>,
    pub answering: Option<MinorVersion>,
    pub outcome: Outcome,
    pub source: Option<SourceStatus>,
    pub record: Record,
    /// The Envoys, each with whether it has the latest map.
    pub envoys: Vec<(EnvoyView, Option<bool>)>,
    /// Since 1970.
    pub now: Duration,
}

impl Model<'_> {
    /// Returns where a browser learns of changes after those that are shown.
    pub(super) fn events(&self) -> String {
        let last = self.record.last();
        match self.beside_others {
            false => format!("/v1/events?after={last}"),
            true => format!("/v1/control-planes/{}/events?after={last}", self.name),
        }
    }

    pub(super) fn render(&self) -> Markup {
        let map = self.outcome.publication.as_ref().map(|publication| &publication.map);
        let generation = map.map(|map| map.generation);
        html! {
            (section("summary", "Summary", &self.summary()))
            (section("peers", "Peers", &self.peers()))
            (section("skew", "Skew", &map.map_or_else(nothing_yet, |map| matrix::render(map))))
            (section("changes", "Changes", &self.changes()))
            (section("envoys", "Envoys", &envoys::render(&self.envoys, generation)))
            (section("requests", "Requests by decision", &requests()))
        }
    }

    fn summary(&self) -> Markup {
        let in_rotation = self.peers.iter().filter(|peer| is_in_rotation(peer)).count();
        let answering = self.answering.map_or("any".to_owned(), |version| version.to_string());
        let publication = self.outcome.publication.as_ref();
        html! {
            @if let Some(error) = &self.outcome.error {
                p.alarm { strong { "Cannot publish." } " Envoys keep what they have: " (error) }
            }
            @if let Some(SourceStatus { state: SourceState::Failing, last_error, .. }) = &self.source {
                p.alarm { strong { "The source of the peers fails." } " The last peers stay: "
                    (last_error.as_deref().unwrap_or("unknown reason")) }
            }
            @if in_rotation == 0 {
                p.alarm { strong { "No peer is ready." } " The last rotation stays." }
            }
            dl {
                div { dt { "Answering version" } dd { (answering) } }
                div { dt { "Peers in rotation" } dd { (in_rotation) " of " (self.peers.len()) } }
                @if let Some(publication) = publication {
                    div { dt { "Skewed types" } dd { (publication.skewed_targets) } }
                    div { dt { "Map generation" } dd {
                        (publication.map.generation)
                        span.note { "published " (moment(publication.at))
                            @if !publication.map.complete { ", not complete" } }
                    } }
                } @else {
                    div { dt { "Map generation" } dd { "none yet" } }
                }
            }
        }
    }

    fn peers(&self) -> Markup {
        if self.peers.is_empty() {
            return html! { p { "No peer is known." } };
        }
        html! {
            table.cards role="table" {
                thead role="rowgroup" { tr role="row" {
                    @for title in ["Peer", "State", "Version", "Answers", "Types", "Last answer"] {
                        th scope="col" role="columnheader" { (title) }
                    }
                } }
                tbody role="rowgroup" { @for peer in &self.peers { (render_peer(peer)) } }
            }
        }
    }

    fn changes(&self) -> Markup {
        let changes: Vec<_> = self.record.all().rev().collect();
        let (recent, earlier) = changes.split_at(changes.len().min(RECENT));
        let list = |entries: &[&std::sync::Arc<Entry>]| {
            html! { ul.changes { @for entry in entries { li {
                (moment(Duration::from_secs(entry.at_unix_seconds))) " " span { (entry.message) }
            } } } }
        };
        html! {
            @if recent.is_empty() { p { "Nothing has changed since the companion started." } }
            @else { (list(recent)) }
            @if !earlier.is_empty() {
                details #earlier {
                    summary { (count(earlier.len(), "earlier change")) }
                    (list(earlier))
                }
            }
        }
    }
}

/// Returns whether requests may go to it.
fn is_in_rotation(peer: &PeerStatus) -> bool {
    peer.state == PeerState::Serving && !peer.left
}

fn section(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            div id=(id) data-live { (content) }
        }
    }
}

fn nothing_yet() -> Markup {
    html! { p { "The companion has not published a map yet." } }
}

fn render_peer(peer: &PeerStatus) -> Markup {
    let class = match peer.state {
        PeerState::Serving => "badge good",
        PeerState::NotReady => "badge warn",
        PeerState::Unreachable => "badge bad",
    };
    let emulated = peer.minor_version.map(|minor| minor.to_string());
    let version = peer.version.as_deref();
    let differs = |minor: &&String| version.is_none_or(|version| !version.contains(minor.as_str()));
    html! {
        tr role="row" {
            th scope="row" role="rowheader" { (peer.name) " " span.note { (peer.address) } }
            td role="cell" data-label="State" { div {
                span class=(class) { (state(peer.state)) }
                @if peer.left { " " span.badge { "left its source" } }
                @if peer.forgotten { " " span.badge { "forgotten" } }
                @if peer.absent_seconds > 0 { " " span.note { "for " (duration(peer.absent_seconds)) } }
                @if let Some(error) = &peer.last_error { " " span.note { (error) } }
            } }
            td role="cell" data-label="Version" { div {
                (version.unwrap_or("unknown"))
                @if let Some(minor) = emulated.as_ref().filter(differs) {
                    " " span.note { "serves " (minor) }
                }
            } }
            td role="cell" data-label="Answers" { div { @if peer.answering { "yes" } @else { "no" } } }
            td role="cell" data-label="Types" { div {
                @if peer.discovery_known { (peer.types) } @else { "not read yet" }
            } }
            td role="cell" data-label="Last answer" { div {
                @match peer.last_answer_seconds_ago {
                    Some(seconds) => { (duration(seconds)) " ago" }
                    None => "none",
                }
            } }
        }
    }
}

/// Says where the rates are: the companion is not in the path of requests and does not know them.
fn requests() -> Markup {
    html! {
        p { "The companion does not see requests. Each Envoy counts its own by decision; as a rate, in Prometheus:" }
        pre tabindex="0" { code { "sum by (decision) (rate(mixed_version_proxy_requests_total[5m]))" } }
        p { "Without Prometheus, on the host of an Envoy:" }
        pre tabindex="0" { code {
            "curl -s http://127.0.0.1:9901/stats/prometheus | grep mixed_version_proxy_requests_total"
        } }
    }
}
