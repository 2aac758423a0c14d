//! Frames of the terminal view, on a screen that only exists in memory.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Reaction, Reading, State, view};
use crate::builtin::ApiType;
use crate::facts::tests::facts;
use crate::plan::usage::Usage;

/// Returns what is on a screen of this size.
fn screen(state: &State, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view(state, frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

fn known() -> State {
    let mut state =
        State { facts: Some(facts()), has_envoys: true, now: 1_003, ..State::default() };
    for (second, count) in [(0, 10), (2, 25)] {
        let at = Duration::from_secs(second);
        state.decisions.update(at, [("common".to_owned(), count), ("skewed".to_owned(), 4)]);
        state.types.update(at, [(ApiType::new("", "v1", "pods/resize"), count)]);
    }
    state
}

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

#[test]
fn a_screen_has_peers_requests_by_decision_and_skewed_types() {
    let lines = screen(&known(), 100, 24);
    let row = |start: &str| {
        let line = lines.iter().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no {start}: {lines:#?}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines[0], "Answering version: 1.35. Map: generation 42, pushed 3s ago.");
    assert_eq!(row("cp-1"), ["cp-1", "v1.35.1", "1.35", "serving", "yes", "1s", "14"]);
    assert_eq!(row("cp-3")[3], "unreachable");
    assert_eq!(row("common"), ["common", "7.5", "25"]);
    assert_eq!(row("skewed"), ["skewed", "0.0", "4"]);
    assert_eq!(row("v1 pods/resize"), ["v1", "pods/resize", "cp-2", "7.5", "25"]);
    assert_eq!(lines[23], "q: quit   up, down: scroll");
}

#[test]
fn problems_stand_below_the_summary_and_cannot_move_the_cursor() {
    let mut state = known();
    state.problems = vec!["cp-1: \u{1b}[2Jno answer".to_owned()];
    assert_eq!(screen(&state, 80, 24)[1], "cp-1:  [2Jno answer");
}

#[test]
fn any_size_is_drawn_even_before_anything_is_known() {
    for (width, height) in [(1, 1), (10, 4), (80, 24), (300, 100)] {
        screen(&known(), width, height);
        screen(&State::default(), width, height);
    }
    let lines = screen(&State::default(), 100, 20);
    assert_eq!(lines[0], "Nothing is known yet.");
    assert!(lines.iter().any(|line| line.contains("--envoy")), "{lines:#?}");
}

#[test]
fn keys_quit_and_scroll_within_the_skewed_types() {
    let mut state = known();
    let count = state.skewed().len();
    assert!(count > 1);
    assert_eq!(state.on_key(key(KeyCode::Char('q'))), Reaction::Quit);
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.on_key(control_c), Reaction::Quit);
    assert_eq!(state.on_key(key(KeyCode::Char('x'))), Reaction::Nothing);
    assert_eq!(state.on_key(key(KeyCode::Up)), Reaction::Nothing);
    assert_eq!(state.on_key(key(KeyCode::Down)), Reaction::Redraw);
    let lines = screen(&state, 100, 24);
    assert!(!lines.iter().any(|line| line.starts_with(&state.skewed()[0].name())), "{lines:#?}");
    state.on_key(key(KeyCode::PageDown));
    assert_eq!(state.scrolled, count - 1);
    state.on_key(key(KeyCode::Home));
    assert_eq!(state.scrolled, 0);
}

#[test]
fn what_cannot_be_read_stays_as_it_was_and_is_a_problem() {
    let mut state = known();
    state.apply(Reading {
        known: Err(anyhow::anyhow!("no companion")),
        decisions: Err(anyhow::anyhow!("no Envoy")),
        usage: None,
        at: Duration::from_secs(9),
        now: 1_010,
    });
    assert_eq!(state.problems, ["no companion", "no Envoy"]);
    let lines = screen(&state, 100, 24);
    assert!(lines[0].ends_with("pushed 10s ago.") && lines[1] == "no companion", "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("cp-1")), "{lines:#?}");
    let mut usage = Usage::default();
    usage.add("cp-2", "apiserver_request_total{group=\"\",resource=\"pods\",subresource=\"resize\",version=\"v1\"} 45\n");
    let decisions = Ok([("common".to_owned(), 46)].into());
    let reading = Reading {
        known: Ok((facts(), None)),
        decisions,
        usage: Some(usage),
        at: Duration::from_secs(12),
        now: 1_013,
    };
    state.apply(reading);
    assert_eq!(state.problems, [""; 0]);
    let lines = screen(&state, 100, 24);
    let has =
        |words: &[&str]| lines.iter().any(|line| line.split_whitespace().eq(words.iter().copied()));
    assert!(has(&["common", "2.1", "46"]), "{lines:#?}");
    assert!(has(&["v1", "pods/resize", "cp-2", "2.0", "45"]), "{lines:#?}");
}
