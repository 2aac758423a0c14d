//! `kubectl skew`: the matrix, once or again and again.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::now;
use crate::args::{Connection, Format};
use crate::matrix::Matrix;
use crate::output;
use crate::screen::Screen;
use crate::source;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Move the cursor to the first column of the first line.
const HOME: &str = "\x1b[H";

/// Erase from the cursor to the end of the line, and of the screen.
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

#[derive(Clone, Debug, Args)]
pub struct Show {
    /// List all types, not only the skewed ones.
    #[arg(long)]
    pub all: bool,
    /// Go on until interrupted: redraw in place on a terminal, else write each change.
    #[arg(short, long)]
    pub watch: bool,
    /// How to write the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

impl Show {
    /// Writes the matrix.
    ///
    /// # Errors
    /// The companion cannot be reached, or what it says cannot be read. With `watch`, only if that
    /// is so at first.
    pub async fn run(&self, args: &Connection, screen: &Screen, out: &mut dyn Write) -> Result<()> {
        let mut shown = self.render(args, screen).await?;
        if !self.watch {
            return Ok(out.write_all(shown.as_bytes())?);
        }
        if screen.is_terminal() {
            write!(out, "{HOME}{ERASE_BELOW}")?;
        }
        draw(&shown, screen, out)?;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let next = match self.render(args, screen).await {
                Ok(text) => text,
                Err(error) => format!("error: {error:#}\n"),
            };
            if screen.is_terminal() || next != shown {
                draw(&next, screen, out)?;
                shown = next;
            }
        }
    }

    async fn render(&self, args: &Connection, screen: &Screen) -> Result<String> {
        let facts = source::facts(args).await?;
        let matrix = Matrix::of(&facts, self.all);
        output::render(self.output, &matrix, |wide| matrix.text(wide, screen, now()))
    }
}

/// Writes a frame over the one before.
fn draw(text: &str, screen: &Screen, out: &mut dyn Write) -> Result<()> {
    if screen.is_terminal() {
        let text = text.replace('\n', &format!("{ERASE_LINE}\n"));
        write!(out, "{HOME}{text}{ERASE_BELOW}")?;
    } else {
        writeln!(out, "{text}")?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::screen::Screen;

    #[test]
    fn a_frame_erases_what_is_left_of_a_longer_one() {
        let mut out = Vec::new();
        draw("a\nb\n", &Screen { width: Some(80), color: false }, &mut out).unwrap();
        assert_eq!(out, b"\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        let mut out = Vec::new();
        draw("a\n", &Screen::default(), &mut out).unwrap();
        assert_eq!(out, b"a\n\n");
    }
}
