//! The commands of a document, by their headings.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use harness::artifacts::integration_folder;

/// The document, and which of its commands were run.
#[derive(Debug)]
pub struct Document {
    blocks: Vec<(String, String)>,
    used: RefCell<BTreeSet<usize>>,
}

impl Document {
    /// Reads the document of this name in `docs`.
    pub fn read(name: &str) -> Result<Self> {
        let text = fs::read_to_string(integration_folder().join("../docs").join(name))?;
        let (mut blocks, mut heading) = (Vec::new(), "");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                heading = line.trim_start_matches(['#', ' ']);
            } else if line == "```sh" {
                let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
                blocks.push((heading.to_owned(), block.join("\n")));
            }
        }
        Ok(Self { blocks, used: RefCell::default() })
    }

    /// Returns the commands of one block below a heading.
    pub fn commands(&self, heading: &str, number: usize) -> Result<&str> {
        let of_heading = self.blocks.iter().enumerate().filter(|(_, block)| block.0 == heading);
        let (index, (_, commands)) = of_heading
            .clone()
            .nth(number)
            .with_context(|| format!("it has no block {number} of commands below {heading:?}"))?;
        self.used.borrow_mut().insert(index);
        Ok(commands)
    }

    /// Fails if there is a block of commands that nobody has asked for.
    #[cfg(feature = "slow")]
    pub fn ensure_all_used(&self) -> Result<()> {
        let used = self.used.borrow();
        let unused = self.blocks.iter().enumerate().filter(|(index, _)| !used.contains(index));
        let unused: Vec<_> = unused.map(|(_, block)| block).collect();
        anyhow::ensure!(unused.is_empty(), "not run: {unused:#?}");
        Ok(())
    }
}
