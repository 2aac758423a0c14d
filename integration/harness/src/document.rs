//! The commands in a document of this project, by their headings: tests type them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::artifacts::integration_folder;

/// The document, and which of its commands were asked for.
#[derive(Debug)]
pub struct Document {
    blocks: Vec<Block>,
    used: RefCell<BTreeSet<usize>>,
}

#[derive(Debug)]
struct Block {
    heading: String,
    commands: String,
}

impl Document {
    /// Reads the document at this path in the project. Fails if it is not there.
    pub fn read(path: &str) -> Result<Self> {
        let text = fs::read_to_string(integration_folder().join("..").join(path))
            .with_context(|| path.to_owned())?;
        Ok(Self { blocks: blocks_of(&text), used: RefCell::default() })
    }

    /// Returns the commands of one block below a heading. Fails if it does not exist.
    pub fn commands(&self, heading: &str, number: usize) -> Result<&str> {
        let (index, block) = self
            .below(heading)
            .nth(number)
            .with_context(|| format!("it has no block {number} of commands below {heading:?}"))?;
        self.used.borrow_mut().insert(index);
        Ok(&block.commands)
    }

    /// Returns each command of all blocks below a heading. Fails if there is none.
    pub fn all(&self, heading: &str) -> Result<Vec<String>> {
        let mut commands = Vec::new();
        for (index, block) in self.below(heading) {
            self.used.borrow_mut().insert(index);
            let joined = block.commands.replace("\\\n", " ");
            commands.extend(joined.lines().map(str::to_owned));
        }
        ensure!(!commands.is_empty(), "it has no commands below {heading:?}");
        Ok(commands)
    }

    fn below(&self, heading: &str) -> impl Iterator<Item = (usize, &Block)> {
        self.blocks.iter().enumerate().filter(move |(_, block)| block.heading == heading)
    }

    /// Fails if there is a block of commands that nobody has asked for.
    pub fn ensure_all_used(&self) -> Result<()> {
        let used = self.used.borrow();
        let unused = self.blocks.iter().enumerate().filter(|(index, _)| !used.contains(index));
        let unused: Vec<_> = unused.map(|(_, block)| block).collect();
        ensure!(unused.is_empty(), "not run: {unused:#?}");
        Ok(())
    }
}

/// Returns the blocks of shell, those in lists without their indentation.
fn blocks_of(text: &str) -> Vec<Block> {
    let (mut blocks, mut heading) = (Vec::new(), "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']);
        } else if let Some(indentation) = line.strip_suffix("```sh") {
            let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let block: Vec<_> =
                block.map(|line| line.strip_prefix(indentation).unwrap_or(line)).collect();
            blocks.push(Block { heading: heading.to_owned(), commands: block.join("\n") });
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Top\n\n## One\n\n```sh\na \\\n  b\n```\n\n1. In a list:\n\n   ```sh\n   c\n   d\n   ```\n\n```json\n{}\n```\n";

    fn document() -> Document {
        Document { blocks: blocks_of(TEXT), used: RefCell::default() }
    }

    #[test]
    fn commands_are_found_below_their_heading() {
        let document = document();
        assert_eq!(document.commands("One", 0).unwrap(), "a \\\n  b");
        assert_eq!(document.commands("One", 1).unwrap(), "c\nd");
        assert!(document.commands("One", 2).is_err());
        assert_eq!(document.all("One").unwrap(), ["a    b", "c", "d"]);
        assert!(document.all("Top").is_err());
    }

    #[test]
    fn commands_that_nobody_asked_for_are_named() {
        let document = document();
        document.commands("One", 0).unwrap();
        assert!(document.ensure_all_used().unwrap_err().to_string().contains("d"));
        document.commands("One", 1).unwrap();
        document.ensure_all_used().unwrap();
    }
}
