//! Tables as kubectl writes them: columns three spaces apart, headings in capitals.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::screen::Screen;

/// Between two columns.
const GAP: usize = 3;

/// A column is never cut to fewer characters than this.
const NARROWEST: usize = 12;

/// How a cell stands out where there is color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Heading,
    Good,
    Bad,
    Faint,
}

/// A cell: one line of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// Rows of cells. The first row is the heading.
#[derive(Clone, Debug, Default)]
pub struct Table(Vec<Vec<Cell>>);

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => Style::new().dimmed(),
        }
    }

    /// Returns the text in this tone, if there is color.
    pub fn paint(self, text: &str, color: bool) -> String {
        let style = self.style();
        if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

impl Cell {
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        // What a server sends must not move the cursor.
        let text = text.into().replace(char::is_control, " ");
        Self { text, tone }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// Returns the text in at most `width` characters.
    fn cut(&self, width: usize) -> String {
        if self.width() <= width {
            return self.text.clone();
        }
        let kept: String = self.text.chars().take(width.saturating_sub(1)).collect();
        kept + "…"
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Table {
    /// Returns a table with this heading and no rows.
    pub fn new<T: Into<String>>(heading: impl IntoIterator<Item = T>) -> Self {
        let heading = heading.into_iter().map(|text| Cell::new(text.into(), Tone::Heading));
        Self(vec![heading.collect()])
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.0.push(row);
    }

    /// Returns the number of columns that the longest line needs.
    pub fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column| self.0.iter().filter_map(move |row| row.get(column)).map(Cell::width);
        (0..columns).map(|column| width(column).max().unwrap_or_default()).collect()
    }

    /// Returns the lines. If the screen is narrower, the column `elastic` is cut.
    pub fn render(&self, screen: &Screen, elastic: usize) -> String {
        let mut widths = self.widths();
        let excess = screen.width.map_or(0, |limit| self.width().saturating_sub(limit));
        if let Some(width) = widths.get_mut(elastic) {
            *width = width.saturating_sub(excess).max(NARROWEST.min(*width));
        }
        let mut text = String::new();
        for row in &self.0 {
            let mut gap = 0;
            for (cell, width) in row.iter().zip(&widths) {
                let shown = cell.cut(*width);
                let painted = cell.tone.paint(&shown, screen.color);
                // Writing to a string does not fail.
                let _ = write!(text, "{:gap$}{painted}", "");
                gap = GAP + width.saturating_sub(shown.chars().count());
            }
            text.push('\n');
        }
        text
    }
}

/// Returns a time as kubectl writes ages: its largest unit.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table, Tone, age};
    use crate::screen::Screen;

    fn table() -> Table {
        let mut table = Table::new(["TYPE", "CP-1"]);
        table.push(vec!["apps/v1 deployments/scale".into(), Cell::new("yes", Tone::Good)]);
        table.push(vec!["v1 pods".into(), Cell::new("-", Tone::Faint)]);
        table
    }

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_with_a_space() {
        let text = table().render(&Screen::default(), 0);
        let expected = "\
TYPE                        CP-1
apps/v1 deployments/scale   yes
v1 pods                     -
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_narrow_screen_cuts_one_column() {
        let screen = Screen { width: Some(24), color: false };
        let text = table().render(&screen, 0);
        assert!(text.contains("apps/v1 deployme…   yes"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 24), "{text}");
        // A screen that is narrower still gets longer lines.
        let text = table().render(&Screen { width: Some(5), color: false }, 0);
        assert!(text.contains("apps/v1 dep…   yes"), "{text}");
    }

    #[test]
    fn color_changes_no_width_and_control_characters_never_arrive() {
        let screen = Screen { width: None, color: true };
        let text = table().render(&screen, 0);
        assert!(text.contains("\u{1b}[32myes\u{1b}[0m"), "{text:?}");
        let mut table = Table::new(["ERROR"]);
        table.push(vec!["\u{1b}[2J\n".into()]);
        assert_eq!(table.render(&Screen::default(), 0), "ERROR\n [2J \n");
    }

    #[test]
    fn an_age_has_its_largest_unit() {
        let ages = [(0, "0s"), (119, "119s"), (120, "2m"), (7_200, "2h"), (200_000, "2d")];
        ages.into_iter().for_each(|(seconds, text)| assert_eq!(age(seconds), text));
    }
}
