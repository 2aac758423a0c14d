//! The matrix for people.

use discovery_map::PeerState;

use super::{Matrix, Serves, served};
use crate::facts::Peer;
use crate::screen::Screen;
use crate::table::{Cell, Table, Tone, age};

impl Matrix {
    /// Writes the matrix as tables. `now` is the time since 1970, in seconds.
    pub fn text(&self, wide: bool, screen: &Screen, now: u64) -> String {
        let last = if wide { 7 } else { 0 };
        let mut text = self.summary(now);
        text.push('\n');
        text.push_str(&self.peer_table(wide).render(screen, last));
        text.push('\n');
        if self.types.is_empty() {
            let count = self.types_total;
            text.push_str(&format!("Every peer in rotation serves all {count} types.\n"));
            return text;
        }
        text.push_str(&self.type_table(wide, screen).render(screen, 0));
        let (skewed, total) = (self.types_skewed, self.types_total);
        text.push_str(&format!("\n{skewed} of {total} types are skewed.\n"));
        text
    }

    fn summary(&self, now: u64) -> String {
        if self.pushed_at_unix_seconds.is_none() {
            let complete = if self.complete { "" } else { " Not every server could be read." };
            return format!("Read from the API servers, without a companion.{complete}\n");
        }
        let versions = self.answering_versions.join(", ");
        let answering = if versions.is_empty() { "unknown" } else { &versions };
        let mut text = format!("Answering version: {answering}.");
        if let Some(at) = self.pushed_at_unix_seconds {
            let pushed = age(now.saturating_sub(at));
            text.push_str(&format!(" Map: generation {}, pushed {pushed} ago", self.generation));
            text.push_str(if self.complete { ".\n" } else { ", incomplete.\n" });
        }
        text
    }

    fn peer_table(&self, wide: bool) -> Table {
        let common = ["PEER", "VERSION", "API", "STATE", "ANSWERING", "AGE", "TYPES"];
        let more = if wide { &["ADDRESS", "ERROR"][..] } else { &[] };
        let mut table = Table::new(common.iter().chain(more).copied());
        for peer in &self.peers {
            let (state, tone) = state(peer);
            let known = |value: Option<String>| Cell::from(value.unwrap_or_else(|| "?".to_owned()));
            let mut row = vec![
                peer.name.clone().into(),
                known(peer.version.clone()),
                known(peer.minor_version.map(|version| version.to_string())),
                Cell::new(state, tone),
                if peer.answering { "yes" } else { "-" }.into(),
                known(peer.last_answer_seconds_ago.map(age)),
                peer.types.to_string().into(),
            ];
            if wide {
                row.push(peer.address.clone().into());
                row.push(peer.last_error.clone().unwrap_or_default().into());
            }
            table.push(row);
        }
        table
    }

    /// Returns the table with the peers' names above the columns, or with their numbers if
    /// the names do not fit.
    fn type_table(&self, wide: bool, screen: &Screen) -> Table {
        let named = self.type_table_with(wide, |_, peer| peer.name.to_uppercase());
        match screen.width {
            Some(width) if named.width() > width => {
                self.type_table_with(wide, |position, _| (position + 1).to_string())
            }
            _ => named,
        }
    }

    fn type_table_with(&self, wide: bool, heading: impl Fn(usize, &Peer) -> String) -> Table {
        let peers = self.peers.iter().enumerate();
        let headings = peers.map(|(position, peer)| heading(position, peer));
        let more = if wide { &["SCOPE", "CLUSTER"][..] } else { &[] };
        let more = more.iter().map(|&text| text.to_owned());
        let mut table = Table::new(["TYPE".to_owned()].into_iter().chain(headings).chain(more));
        for row in &self.types {
            let mut cells = vec![row.name().into()];
            cells.extend(self.peers.iter().map(|peer| served(row, peer).into()));
            if wide {
                cells.push(if row.namespaced { "namespace" } else { "cluster" }.into());
                cells.push(row.cluster.clone().unwrap_or_else(|| "none: 503".to_owned()).into());
            }
            table.push(cells);
        }
        table
    }
}

impl From<Serves> for Cell {
    fn from(serves: Serves) -> Self {
        match serves {
            Serves::Yes => Self::new("yes", Tone::Good),
            Serves::Remembered => Self::new("(yes)", Tone::Faint),
            Serves::No => Self::new("-", Tone::Bad),
            Serves::Unknown => Self::new("?", Tone::Faint),
        }
    }
}

fn state(peer: &Peer) -> (&'static str, Tone) {
    match peer.state {
        _ if peer.forgotten => ("forgotten", Tone::Faint),
        _ if peer.left => ("left", Tone::Faint),
        PeerState::Serving => ("serving", Tone::Good),
        PeerState::NotReady => ("not ready", Tone::Bad),
        PeerState::Unreachable => ("unreachable", Tone::Bad),
    }
}
