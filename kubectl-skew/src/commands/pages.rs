//! What is made of the command line itself: completion for shells, and manual pages.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use clap_mangen::{Man, generate_to};

/// The program's file.
const PROGRAM: &str = "kubectl-skew";

#[derive(Clone, Debug, Args)]
pub struct Completion {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Debug, Args)]
pub struct ManualPage {
    /// Write a page for each command into this directory, and not the page of the program to the
    /// standard output.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl Completion {
    /// Writes the script for the shell.
    pub fn run(&self, command: &mut Command, out: &mut dyn Write) -> Result<()> {
        let mut script = Vec::new();
        generate(self.shell, command, PROGRAM, &mut script);
        Ok(out.write_all(&script)?)
    }
}

impl ManualPage {
    /// Writes the page, or all pages.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn run(&self, command: Command, out: &mut dyn Write) -> Result<()> {
        match &self.directory {
            Some(directory) => write_all(command, directory),
            None => Ok(Man::new(command).render(&mut &mut *out)?),
        }
    }
}

fn write_all(command: Command, directory: &Path) -> Result<()> {
    let written = std::fs::create_dir_all(directory).and_then(|()| generate_to(command, directory));
    written.with_context(|| format!("cannot write {}", directory.display()))
}
