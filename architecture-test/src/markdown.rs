//! A Markdown document: its links, the anchors of its headings, and its blocks of commands.
//!
//! This is a reader of the Markdown that we write: fences are three backticks, headings begin with
//! `#`, and links are inline.

use std::collections::BTreeMap;

/// The info strings of blocks with commands for a shell.
const SHELLS: [&str; 4] = ["sh", "bash", "shell", "console"];

/// A block of commands.
#[derive(Debug, PartialEq, Eq)]
pub struct Commands {
    /// The line of its fence, from 1.
    pub line: usize,
    /// The comment directly above it, without `<!--` and `-->`.
    pub comment: Option<String>,
    /// What is in it.
    pub text: String,
}

/// Returns the lines outside fenced blocks, with their numbers from 0.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// Returns the targets of all inline links outside fenced blocks.
pub fn links(text: &str) -> Vec<&str> {
    let rests = prose(text).flat_map(|(_, line)| line.split("](").skip(1));
    rests.filter_map(|rest| rest.split(')').next()).filter(|target| !target.is_empty()).collect()
}

/// Returns the anchors of all headings, as GitHub and mdBook make them: letters, digits, `-` and `_` in
/// lowercase, spaces as `-`, and a number at the end of one that is there already.
pub fn anchors(text: &str) -> Vec<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let headings = prose(text).filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then(|| title.strip_prefix(' ')).flatten()
    });
    let anchors = headings.map(|title| {
        let slug = slug(title);
        let count = seen.entry(slug.clone()).or_default();
        *count += 1;
        if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
    });
    anchors.collect()
}

/// Returns the anchor of a heading that is there once.
fn slug(title: &str) -> String {
    // Of a link, the text remains.
    let mut words = String::new();
    for (index, part) in title.split("](").enumerate() {
        let part =
            if index == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) };
        words.push_str(part);
    }
    let kept = words.trim().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Returns all blocks of commands.
pub fn commands(text: &str) -> Vec<Commands> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let start = at;
        at += 1;
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let body = lines.iter().skip(at).take_while(|line| line.trim() != "```");
        let body: Vec<&str> = body.copied().collect();
        at += body.len() + 1;
        if !SHELLS.contains(&info) {
            continue;
        }
        let above = start.checked_sub(1).and_then(|above| lines.get(above));
        let comment = above.and_then(|line| line.trim().strip_prefix("<!--")?.strip_suffix("-->"));
        found.push(Commands {
            line: start + 1,
            comment: comment.map(|comment| comment.trim().to_owned()),
            text: body.join("\n"),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A `b`: c_d\n\nSee [x](y.md#z) and [w](#a).\n\n## E [f](g.md)\n## E f\n\
                        <!-- run by: t -->\n```sh\n# no heading\n[no](link)\n```\n```json\n{}\n```\n";

    #[test]
    fn links_and_anchors_are_those_outside_of_blocks() {
        assert_eq!(links(TEXT), ["y.md#z", "#a", "g.md"]);
        assert_eq!(anchors(TEXT), ["a-b-c_d", "e-f", "e-f-1"]);
    }

    #[test]
    fn a_block_of_commands_has_the_comment_above_it() {
        let comment = Some("run by: t".to_owned());
        let text = "# no heading\n[no](link)".to_owned();
        assert_eq!(commands(TEXT), [Commands { line: 8, comment, text }]);
    }
}
