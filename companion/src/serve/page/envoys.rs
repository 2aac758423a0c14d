//! The Envoys that are served over ADS: which map each has, and what it refused last.

use maud::{Markup, html};

use super::text::{count, duration};
use crate::ads::EnvoyView;

/// How many Envoys are shown.
const MOST: usize = 200;

/// Shows the Envoys of a control plane whose last map has this generation.
pub(super) fn render(envoys: &[(EnvoyView, Option<bool>)], generation: Option<u64>) -> Markup {
    if envoys.is_empty() {
        return html! {
            p { "No Envoy is connected over ADS. An Envoy that reads files tells the companion nothing: its admin "
                "interface shows the generation that it has and the maps that it refused." }
            pre tabindex="0" { code {
                "curl -s 'http://127.0.0.1:9901/stats?filter=mixed_version_proxy.*(version_text|update_rejected)'"
            } }
        };
    }
    let more = envoys.len().saturating_sub(MOST);
    html! {
        table.cards role="table" {
            thead role="rowgroup" { tr role="row" {
                @for title in ["Envoy", "Version", "Connected", "Map", "Last refusal"] {
                    th scope="col" role="columnheader" { (title) }
                }
            } }
            tbody role="rowgroup" {
                @for (envoy, latest) in envoys.iter().take(MOST) { (row(envoy, *latest, generation)) }
            }
        }
        @if more > 0 { p { "And " (count(more, "more Envoy")) ": " code { "/v1/envoys" } " has all." } }
    }
}

fn row(envoy: &EnvoyView, latest: Option<bool>, generation: Option<u64>) -> Markup {
    let node = if envoy.node.is_empty() { "unnamed" } else { &envoy.node };
    html! {
        tr role="row" {
            th scope="row" role="rowheader" {
                (node)
                @if envoy.mirror { " " span.badge { "mirror" } }
            }
            td role="cell" data-label="Version" { div { (envoy.envoy_version.as_deref().unwrap_or("unknown")) } }
            td role="cell" data-label="Connected" { div { (duration(envoy.connected_seconds)) } }
            td role="cell" data-label="Map" { div { (map(latest, generation)) } }
            td role="cell" data-label="Last refusal" { div {
                @match &envoy.last_refusal {
                    None => "none",
                    Some(refusal) => {
                        span.badge.bad { "refused " (refusal.r#type) } " "
                        (duration(refusal.seconds_ago)) " ago: " (refusal.reason)
                    }
                }
            } }
        }
    }
}

/// Shows which map an Envoy acknowledged. Over ADS, the version of a map is made from its content, so
/// that only the latest one tells its generation.
fn map(latest: Option<bool>, generation: Option<u64>) -> Markup {
    html! {
        @match (latest, generation) {
            (Some(true), Some(generation)) => { span.badge.good { "latest" } " generation " (generation) }
            (Some(_), _) => span.badge.warn { "not the latest" },
            (None, _) => span.badge.warn { "none yet" },
        }
    }
}
