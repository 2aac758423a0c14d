//! Times and numbers as the page has them.

use std::time::{Duration, UNIX_EPOCH};

use maud::{Markup, html};

/// Shows a moment, given since 1970: in UTC, and for programs.
pub(super) fn moment(at: Duration) -> Markup {
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string();
    let shown = text.replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(text) { (shown) } }
}

/// Returns a duration in its two largest units: `5m 3s`.
pub(super) fn duration(seconds: u64) -> String {
    let units = [
        ("d", seconds / 86_400),
        ("h", seconds / 3600 % 24),
        ("m", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    let used = units.iter().skip_while(|(_, number)| *number == 0).take(2);
    let text = used.map(|(unit, number)| format!("{number}{unit}")).collect::<Vec<_>>().join(" ");
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Shows the name of a type, which a narrow screen may break after a dot or a slash.
pub(super) fn name(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['.', '/']) { (part) wbr; } }
}

/// Returns a number of things.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
