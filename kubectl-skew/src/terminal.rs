//! The terminal as a whole screen: entered, and left as it was, whatever happens.

use std::io::{IsTerminal, stdin, stdout};

use anyhow::{Context, Result, ensure};
use ratatui::DefaultTerminal;

/// The whole screen of the terminal, without its lines before. When it is dropped, and before a panic's
/// message is written, the terminal is as it was.
#[derive(Debug)]
pub struct Session(DefaultTerminal);

/// Reports whether there is a terminal.
///
/// # Errors
/// The standard input or output is not a terminal.
pub fn ensure() -> Result<()> {
    let is_terminal = stdin().is_terminal() && stdout().is_terminal();
    ensure!(is_terminal, "top needs a terminal; `kubectl skew --watch` writes to anything");
    Ok(())
}

impl Session {
    /// Enters the alternate screen.
    ///
    /// # Errors
    /// The standard input or output is not a terminal.
    pub fn begin() -> Result<Self> {
        ensure()?;
        Ok(Self(ratatui::try_init().context("cannot use the terminal")?))
    }

    /// Returns the terminal to draw on.
    pub fn screen(&mut self) -> &mut DefaultTerminal {
        &mut self.0
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The hook for panics, which ratatui sets, has done it. A second time, the cursor would go back to
        // where it was at first, and the panic's message would be overwritten.
        if !std::thread::panicking() {
            ratatui::restore();
        }
    }
}
