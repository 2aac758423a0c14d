//! A frame of the terminal.

use discovery_map::PeerState;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::State;
use super::rates::Rate;
use crate::builtin::ApiType;
use crate::check::{Verdict, envoys};
use crate::facts::Peer;
use crate::table::age;

/// The lines that tell of problems, at most.
const PROBLEMS: usize = 3;

/// Draws everything that is known.
pub fn view(state: &State, frame: &mut Frame<'_>) {
    let problems = state.problems.len().min(PROBLEMS);
    let peers = state.facts.as_ref().map_or(0, |facts| facts.peers.len());
    let decisions = state.decisions.iter().count().max(1);
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(cells(problems)),
        // A heading and a title above the rows.
        Constraint::Length(cells(peers + 2)),
        Constraint::Length(cells(decisions + 2)),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [summary, faults, servers, requests, types, keys] = areas.areas(frame.area());
    frame.render_widget(Line::from(summary_text(state)).bold(), summary);
    let lines = state.problems.iter().take(PROBLEMS).map(|text| Line::from(clean(text)).red());
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), faults);
    frame.render_widget(peer_table(state), servers);
    draw_decisions(state, frame, requests);
    frame.render_widget(type_table(state), types);
    frame.render_widget(Line::from("q: quit   up, down: scroll").dim(), keys);
}

/// Returns a number of lines or columns. No screen has more than the largest.
fn cells(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Returns a text that cannot move the cursor.
fn clean(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn summary_text(state: &State) -> String {
    let Some(facts) = &state.facts else { return "Nothing is known yet.".to_owned() };
    let versions: Vec<_> = facts.answering_versions().iter().map(ToString::to_string).collect();
    let answering = if versions.is_empty() { "unknown".to_owned() } else { versions.join(", ") };
    let map = facts.pushed_at.map_or_else(
        || "Read from the API servers.".to_owned(),
        |at| {
            let pushed = age(state.now.saturating_sub(at));
            let complete = if facts.document.complete { "" } else { ", incomplete" };
            format!("Map: generation {}, pushed {pushed} ago{complete}.", facts.document.generation)
        },
    );
    format!("Answering version: {answering}. {map}{}", envoys_text(state))
}

/// Returns how many Envoys that the companion serves are on the current map.
fn envoys_text(state: &State) -> String {
    let Some(known) = state.envoys.as_ref().filter(|known| !known.envoys.is_empty()) else {
        return String::new();
    };
    let count = known.envoys.len();
    let behind = envoys::check(known).iter().filter(|found| found.verdict == Verdict::No).count();
    let current = count.saturating_sub(behind);
    format!(" Envoys: {current} of {count} current.")
}

fn titled(title: &str) -> Block<'_> {
    Block::new().borders(Borders::TOP).title(title)
}

fn heading<'t>(names: impl IntoIterator<Item = &'t str>) -> Row<'t> {
    Row::new(names).bold()
}

fn peer_table(state: &State) -> Table<'_> {
    let peers = state.facts.iter().flat_map(|facts| &facts.peers);
    let rows: Vec<_> = peers.clone().map(peer_row).collect();
    let widest = peers.map(|peer| peer.name.chars().count()).max().unwrap_or_default();
    let widths = [
        Constraint::Length(cells(widest.max(4))),
        Constraint::Length(12),
        Constraint::Length(6),
        Constraint::Length(12),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(6),
    ];
    let names = ["PEER", "VERSION", "API", "STATE", "ANSWERING", "AGE", "TYPES"];
    Table::new(rows, widths).header(heading(names)).column_spacing(2).block(titled("Peers"))
}

fn peer_row(peer: &Peer) -> Row<'_> {
    let known = |value: Option<String>| Cell::from(value.unwrap_or_else(|| "?".to_owned()));
    let (state, color) = match peer.state {
        _ if peer.forgotten => ("forgotten", Color::DarkGray),
        _ if peer.left => ("left", Color::DarkGray),
        PeerState::Serving => ("serving", Color::Green),
        PeerState::NotReady => ("not ready", Color::Red),
        PeerState::Unreachable => ("unreachable", Color::Red),
    };
    Row::new([
        Cell::from(clean(&peer.name)),
        known(peer.version.as_deref().map(clean)),
        known(peer.minor_version.map(|version| version.to_string())),
        Cell::from(state).style(Style::new().fg(color)),
        Cell::from(if peer.answering { "yes" } else { "-" }),
        known(peer.last_answer_seconds_ago.map(age)),
        Cell::from(peer.types.to_string()),
    ])
}

fn draw_decisions(state: &State, frame: &mut Frame<'_>, area: Rect) {
    let block = titled("Requests by decision");
    if !state.has_envoys {
        let hint = "Unknown: set --envoy to Envoy's admin interface, such as http://127.0.0.1:9901";
        return frame.render_widget(Paragraph::new(hint).block(block), area);
    }
    let row = |(decision, rate): (&String, Rate)| {
        Row::new([clean(decision), per_second(Some(rate)), rate.total.to_string()])
    };
    let widths = [Constraint::Length(16), Constraint::Length(10), Constraint::Min(10)];
    let table = Table::new(state.decisions.iter().map(row), widths);
    let names = ["DECISION", "PER SECOND", "TOTAL"];
    frame.render_widget(table.header(heading(names)).column_spacing(2).block(block), area);
}

fn type_table(state: &State) -> Table<'_> {
    let skewed = state.skewed();
    let title = match skewed.len() {
        0 => "Skewed types: none".to_owned(),
        count => format!("Skewed types: {count}"),
    };
    let row = |row: crate::types::Row| {
        let used = state.types.get(&ApiType::from(&row));
        let total = used.map_or_else(|| "?".to_owned(), |rate| rate.total.to_string());
        let servers = clean(&row.served_by.join(", "));
        Row::new([clean(&row.name()), servers, per_second(used), total])
    };
    let widest = skewed.iter().map(|row| row.name().chars().count()).max().unwrap_or_default();
    let rows: Vec<_> = skewed.into_iter().skip(state.scrolled).map(row).collect();
    let widths = [
        Constraint::Max(cells(widest)),
        Constraint::Min(10),
        Constraint::Length(10),
        Constraint::Length(10),
    ];
    let names = ["TYPE", "SERVED BY", "PER SECOND", "REQUESTS"];
    let block = Block::new().borders(Borders::TOP).title(title);
    Table::new(rows, widths).header(heading(names)).column_spacing(2).block(block)
}

fn per_second(rate: Option<Rate>) -> String {
    rate.and_then(|rate| rate.per_second)
        .map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}
