//! The terminal, if there is one: its width, and whether it gets color.

use std::io::{IsTerminal, stdout};

use terminal_size::{Width, terminal_size};

use crate::args::Color;

/// What the output goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// The number of columns; `None` if it is not a terminal, so that lines may have any length.
    pub width: Option<usize>,
    /// Whether output has color.
    pub color: bool,
}

impl Screen {
    /// Looks at the standard output.
    pub(crate) fn detect(color: Color) -> Self {
        let is_terminal = stdout().is_terminal();
        let width = terminal_size().filter(|_| is_terminal);
        // https://no-color.org: any value that is not empty.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !refused,
        };
        Self { width: width.map(|(Width(columns), _)| usize::from(columns)), color }
    }

    /// Returns whether the output is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.width.is_some()
    }
}
