//! The terminal view: what is shown, and how keys change it. Pure.
//!
//! ```text
//!  commands/top ── reads ──▶ State ── view ──▶ a frame of the terminal
//!        ▲                     │
//!        └── keys ── on_key ───┘
//! ```

pub mod rates;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::builtin::ApiType;
use crate::facts::{Envoys, Facts};
use crate::plan::usage::Usage;
use crate::types::Row;
use rates::Rates;
pub use view::view;

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// `None` until it was read.
    pub facts: Option<Facts>,
    /// `None` without a companion.
    pub envoys: Option<Envoys>,
    /// The requests of the Envoys that were named, by decision.
    pub decisions: Rates<String>,
    /// Whether any Envoy was named.
    pub has_envoys: bool,
    /// The requests of skewed types, by the metrics of the API servers.
    pub types: Rates<ApiType>,
    /// What could not be read in the last round, and why.
    pub problems: Vec<String>,
    /// The number of rows of skewed types that are above the screen.
    pub scrolled: usize,
    /// The time since 1970, in seconds.
    pub now: u64,
}

/// What a round of reading found.
#[derive(Debug)]
pub struct Reading {
    pub known: Result<(Facts, Option<Envoys>)>,
    /// The requests of the Envoys that were named, by decision.
    pub decisions: Result<BTreeMap<String, u64>>,
    /// What API servers count, if it was read.
    pub usage: Option<Usage>,
    /// The time since the view began.
    pub at: Duration,
    /// The time since 1970, in seconds.
    pub now: u64,
}

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Quit,
    Redraw,
    Nothing,
}

/// The rows that a page key moves.
const PAGE: usize = 10;

impl State {
    /// Returns the skewed types.
    pub fn skewed(&self) -> Vec<Row> {
        let rows = self.facts.iter().flat_map(|facts| crate::types::rows(&facts.document));
        let mut rows: Vec<_> = rows.filter(|row| row.skewed).collect();
        rows.sort_by_key(Row::name);
        rows
    }

    /// Takes over what was read. What could not be read stays as it was, and is a problem.
    pub fn apply(&mut self, reading: Reading) {
        let Reading { known, decisions, usage, at, now } = reading;
        self.now = now;
        self.problems.clear();
        match known {
            Ok((facts, envoys)) => (self.facts, self.envoys) = (Some(facts), envoys),
            Err(error) => self.problems.push(format!("{error:#}")),
        }
        match decisions {
            Ok(counters) => self.decisions.update(at, counters),
            Err(error) => self.problems.push(format!("{error:#}")),
        }
        if let Some(usage) = usage {
            let types = self.skewed();
            let counters = types.iter().map(|row| {
                let api = ApiType::from(row);
                let (count, _) = usage.requests(&api);
                (api, count)
            });
            self.types.update(at, counters);
        }
    }

    /// Changes what a key changes.
    pub fn on_key(&mut self, key: KeyEvent) -> Reaction {
        let before = self.scrolled;
        // As many rows as there are can be skipped, but for one.
        let last = self.skewed().len().saturating_sub(1);
        self.scrolled = match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Reaction::Quit,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Reaction::Quit;
            }
            KeyCode::Down | KeyCode::Char('j') => before.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => before.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => before.saturating_add(PAGE),
            KeyCode::PageUp => before.saturating_sub(PAGE),
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => before,
        }
        .min(last);
        if self.scrolled == before { Reaction::Nothing } else { Reaction::Redraw }
    }
}

#[cfg(test)]
mod tests;
