//! `record OUT TITLE COMMAND…` runs a command and writes what it prints, at the times at which it
//! prints it, as an SVG image that plays in a browser (`make demo-recording`).
//!
//! ```text
//!   command ─▶ lines with times ─▶ pauses of at most two seconds ─▶ SVG: each line appears at its time,
//!                                                                  and the window scrolls with it
//! ```
//!
//! Nothing but the length of pauses is changed. Who asks for reduced motion sees the end.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The lines of the window.
const ROWS: usize = 18;

/// The columns of the window.
const COLUMNS: usize = 96;

/// The size of a character, in pixels.
const WIDTH: f32 = 7.8;
const HEIGHT: f32 = 18.0;
const MARGIN: f32 = 14.0;

/// A longer pause is shortened to this.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How long the end stays before it begins again.
const HOLD: Duration = Duration::from_secs(8);

/// A line, and when it was printed.
#[derive(Debug)]
struct Line {
    text: String,
    at: Duration,
}

/// Runs the command and returns its lines. Fails if the command does.
fn run(command: &[String]) -> Result<Vec<Line>> {
    let (program, arguments) = command.split_first().context("no command")?;
    let begun = Instant::now();
    let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(child.stdout.take().context("no output")?);
    let mut lines = Vec::new();
    for text in output.lines() {
        lines.push(Line { text: text?, at: begun.elapsed() });
    }
    let status = child.wait()?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(lines)
}

/// Shortens long pauses.
fn shortened(lines: Vec<Line>) -> Vec<Line> {
    let (mut cut, mut last) = (Duration::ZERO, Duration::ZERO);
    let shorten = |line: Line| {
        cut += line.at.saturating_sub(last).saturating_sub(MAX_PAUSE);
        last = line.at;
        Line { at: line.at - cut, ..line }
    };
    lines.into_iter().map(shorten).collect()
}

/// Returns the class of a line: a step, a row of figures that ends with wrong answers, or neither.
fn class(text: &str) -> &'static str {
    let figures: Vec<u32> =
        text.split_whitespace().rev().map_while(|word| word.parse().ok()).collect();
    match figures[..] {
        [wrong, _, _, _, ..] if wrong > 0 => " class=\"wrong\"",
        _ if text.starts_with(|c: char| c.is_ascii_digit()) => " class=\"step\"",
        _ => "",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the distance that the lines are moved up when the line of this index is there.
fn scrolled(index: usize) -> f32 {
    let hidden = (index + 1).saturating_sub(ROWS);
    f32::from(u16::try_from(hidden).unwrap_or(u16::MAX)) * HEIGHT
}

/// Returns the image.
fn svg(title: &str, lines: &[Line]) -> Result<String> {
    let end = lines.last().context("the command printed nothing")?.at + HOLD;
    let percent = |at: Duration| 100.0 * at.as_secs_f32() / end.as_secs_f32();
    let (mut texts, mut keyframes, mut scroll) = (String::new(), String::new(), String::new());
    for (index, Line { text, at }) in lines.iter().enumerate() {
        let (y, at, class) = ((index as f32 + 1.0) * HEIGHT, percent(*at), class(text));
        let text = escaped(text);
        writeln!(texts, "<text y=\"{y}\" style=\"animation-name: l{index}\"{class}>{text}</text>")?;
        let steps = format!("0% {{ opacity: 0 }} {at:.2}%, 100% {{ opacity: 1 }}");
        writeln!(keyframes, "@keyframes l{index} {{ {steps} }}")?;
        write!(scroll, "{at:.2}% {{ transform: translateY(-{}px) }} ", scrolled(index))?;
    }
    let last = scrolled(lines.len() - 1);
    write!(scroll, "100% {{ transform: translateY(-{last}px) }}")?;
    let (width, height) =
        (COLUMNS as f32 * WIDTH + 2.0 * MARGIN, ROWS as f32 * HEIGHT + 2.0 * MARGIN);
    let (inner_width, inner_height, seconds) = (width - MARGIN, height - MARGIN, end.as_secs_f32());
    let title = escaped(title);
    Ok(format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{title}</title>
<style>
text {{ font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d7dde5; white-space: pre; animation: {seconds:.2}s step-end infinite }}
.step {{ fill: #8ab4f8; font-weight: bold }}
.wrong {{ fill: #ff8a80 }}
#lines {{ animation: scroll {seconds:.2}s step-end infinite; transform: translateY(-{last}px) }}
@keyframes scroll {{ {scroll} }}
{keyframes}@media (prefers-reduced-motion: reduce) {{ text, #lines {{ animation: none }} }}
</style>
<rect width="100%" height="100%" rx="8" fill="#1b1f27"/>
<clipPath id="window"><rect y="5" width="{inner_width}" height="{inner_height}"/></clipPath>
<g transform="translate({MARGIN} {MARGIN})" clip-path="url(#window)"><g id="lines">
{texts}</g></g>
</svg>
"##
    ))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [out, title, command @ ..] = &arguments[..] else {
        anyhow::bail!("usage: record OUT TITLE COMMAND…");
    };
    let mut lines = vec![Line { text: format!("$ {title}"), at: Duration::ZERO }];
    lines.extend(shortened(run(command)?));
    let too_wide = lines.iter().find(|line| line.text.chars().count() > COLUMNS);
    ensure!(too_wide.is_none(), "more than {COLUMNS} columns: {too_wide:?}");
    fs::write(out, svg(title, &lines)?).with_context(|| format!("cannot write {out}"))?;
    println!("{out}: {} lines", lines.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_has_each_line_at_its_time_without_long_pauses() {
        let lines =
            run(&["sh", "-c", "echo '1. a < b'; sleep 0.2; echo ' c 1 2 0 3'"].map(String::from));
        let mut lines = lines.unwrap();
        // The first line may be read late.
        assert!(lines[1].at >= Duration::from_millis(200), "{lines:?}");
        lines.push(Line { text: " c 1 2 3 0".to_owned(), at: Duration::from_secs(60) });
        let lines = shortened(lines);
        assert_eq!(lines[2].at - lines[1].at, MAX_PAUSE);
        let svg = svg("make demo", &lines).unwrap();
        assert!(svg.contains("class=\"step\">1. a &lt; b</text>"), "{svg}");
        assert!(svg.contains("class=\"wrong\"> c 1 2 0 3</text>"), "{svg}");
        assert!(svg.contains("\"> c 1 2 3 0</text>"), "{svg}");
        assert!(run(&["false".to_owned()]).is_err());
    }

    #[test]
    fn the_window_scrolls_when_it_is_full() {
        assert_eq!(scrolled(ROWS - 1), 0.0);
        assert_eq!(scrolled(ROWS + 1), 2.0 * HEIGHT);
    }
}
