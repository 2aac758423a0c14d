//! The commands in a document of this project that a test types in their order, with what the
//! document says that they print.
//!
//! A block of `sh` is one command without output. In a block of `console`, a command begins with `$ `
//! or `# ` and continues with `> `; the lines after it, if there are any, are what it prints. There, `…`
//! stands for any text, alone on its line for any lines. Spaces do not count: columns are as wide as
//! they need to be.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::artifacts::integration_folder;
use crate::terminal::Terminal;

const ANY: &str = "…";

/// A command of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The heading above it.
    pub heading: String,
    /// The command; it may have several lines.
    pub command: String,
    /// The lines that it prints. `None` if the document does not show them.
    pub output: Option<Vec<String>>,
}

impl Step {
    /// Types the command in a terminal. Returns what it prints. Fails if that is not what the document
    /// shows, or if the document shows nothing and the command fails.
    pub fn run(&self, terminal: &mut Terminal) -> Result<String> {
        if self.output.is_none() {
            return terminal.run(&self.command);
        }
        // The output tells whether it should have failed.
        let (_, printed) = terminal.try_run(&self.command)?;
        self.ensure_prints(&printed)?;
        Ok(printed)
    }

    /// Fails if the command printed something else than the document says.
    pub fn ensure_prints(&self, printed: &str) -> Result<()> {
        let Some(expected) = &self.output else { return Ok(()) };
        let lines: Vec<_> = printed.lines().map(str::to_owned).collect();
        ensure!(
            lines_match(expected, &lines),
            "below {:?}, the document says of\n{}\nthat it prints\n{}\nand it prints\n{printed}",
            self.heading,
            self.command,
            expected.join("\n")
        );
        Ok(())
    }
}

/// Returns the commands of a document that the test in this file runs, by the comments above their
/// blocks. Fails if there are none.
pub fn read(document: &str, test: &str) -> Result<Vec<Step>> {
    let text = fs::read_to_string(integration_folder().join("..").join(document))
        .with_context(|| document.to_owned())?;
    let steps = steps_of(&text, test);
    ensure!(!steps.is_empty(), "{document} has no commands that are run by {test}");
    Ok(steps)
}

fn steps_of(text: &str, test: &str) -> Vec<Step> {
    let comment = format!("<!-- run by: {test} -->");
    let (mut steps, mut heading, mut above) = (Vec::new(), "", "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((indentation, language)) = line.split_once("```") {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            let block: Vec<_> =
                block.map(|line| line.strip_prefix(indentation).unwrap_or(line)).collect();
            if above.trim() == comment {
                steps.extend(steps_of_block(heading, language, &block));
            }
        } else if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        }
        above = line;
    }
    steps
}

fn steps_of_block(heading: &str, language: &str, block: &[&str]) -> Vec<Step> {
    let step = |command: String, output| Step { heading: heading.to_owned(), command, output };
    if language != "console" {
        return vec![step(block.join("\n"), None)];
    }
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        let command = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
        if let Some(command) = command {
            steps.push(step(command.to_owned(), None));
        } else if let Some(step) = steps.last_mut() {
            match line.strip_prefix("> ") {
                Some(more) => step.command.extend(["\n", more]),
                None => step.output.get_or_insert_default().push((*line).to_owned()),
            }
        }
    }
    steps
}

fn lines_match(expected: &[String], lines: &[String]) -> bool {
    match expected.split_first() {
        None => lines.iter().all(|line| line.trim().is_empty()),
        Some((first, rest)) if first.trim() == ANY => (0..=lines.len())
            .any(|skipped| lines.get(skipped..).is_some_and(|lines| lines_match(rest, lines))),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| line_matches(first, line) && lines_match(rest, lines)),
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    let (expected, line) = (dense(expected), dense(line));
    let mut parts = expected.split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{Step, line_matches, steps_of};

    const TEXT: &str = "# Top\n<!-- run by: t -->\n```sh\na\nb\n```\n\n## One\n\n1. x\n\n   \
        <!-- run by: t -->\n   ```console\n   $ c |\n   >   d\n   one  two\n   …\n   four\n   # e\n   \
        ```\n\n<!-- run by: other -->\n```sh\nf\n```\n```sh\ng\n```\n";

    fn step(heading: &str, command: &str, output: Option<&[&str]>) -> Step {
        let output = output.map(|lines| lines.iter().map(|&line| line.to_owned()).collect());
        Step { heading: heading.to_owned(), command: command.to_owned(), output }
    }

    #[test]
    fn the_commands_of_a_test_are_those_below_its_comment() {
        let expected = [
            step("Top", "a\nb", None),
            step("One", "c |\n  d", Some(&["one  two", "…", "four"])),
            step("One", "e", None),
        ];
        assert_eq!(steps_of(TEXT, "t"), expected);
        assert_eq!(steps_of(TEXT, "other"), [step("One", "f", None)]);
    }

    #[test]
    fn an_ellipsis_stands_for_any_text_and_alone_for_any_lines() {
        let step = step("One", "c", Some(&["one  two", "…", "four"]));
        for printed in ["one two\nfour", "one two\nthree\nmore\nfour\n"] {
            step.ensure_prints(printed).unwrap();
        }
        for printed in ["one two", "one two\nfour\nfive", "one\nfour"] {
            step.ensure_prints(printed).unwrap_err();
        }
        assert!(line_matches("port …: a … c", "port 123: a b c"));
        assert!(!line_matches("port …: a … c", "port 123: a b d"));
        assert!(!line_matches("port", "port 123"));
    }
}
