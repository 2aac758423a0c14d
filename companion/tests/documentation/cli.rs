//! The help texts in `docs/cli.md` are those of the program.

use std::env;
use std::fs;

use clap::{Command, CommandFactory};
use companion::cli::Cli;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");

/// Returns a section for each command that does something, with its help text.
fn sections(command: &mut Command, name: &str) -> String {
    let commands = command.get_subcommands_mut().filter(|command| command.get_name() != "help");
    let nested = commands.map(|command| {
        let name = format!("{name} {}", command.get_name());
        sections(command, &name)
    });
    let nested: String = nested.collect();
    if !nested.is_empty() {
        return nested;
    }
    let help = command.clone().bin_name(name).term_width(100).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    format!("\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n"))
}

#[test]
fn the_help_texts_are_those_of_the_program() {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let made = sections(&mut command, &name);
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let head = document.split("\n## ").next().unwrap();
    let expected = format!("{}\n{made}", head.trim_end());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(DOCUMENT, expected).unwrap();
    } else {
        assert!(document == expected, "docs/cli.md is not what the code says; see its first lines");
    }
}
