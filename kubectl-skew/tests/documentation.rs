//! `docs/kubectl-skew-commands.md` is what the code says. `UPDATE_GOLDEN=1` writes it.

#![expect(clippy::unwrap_used, reason = "a page that cannot be read fails the test, as it should")]

use std::env;
use std::fmt::Write as _;
use std::fs;

use clap::{Command, CommandFactory};
use kubectl_skew::cli::Cli;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/kubectl-skew-commands.md");

/// Writes a section for this command and for each below it, with its help text.
fn write_sections(command: &Command, name: &str, page: &mut String) {
    // Of this copy alone: flags that go with every command are shown once, at the top.
    let mut alone = command.clone().bin_name(name).term_width(100);
    let help = alone.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n")).unwrap();
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        write_sections(below, &format!("{name} {}", below.get_name()), page);
    }
}

#[test]
fn the_page_of_commands_is_that_of_the_program() {
    let mut sections = String::new();
    write_sections(&Cli::command(), "kubectl skew", &mut sections);
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let head = document.split("\n## ").next().unwrap();
    let expected = format!("{}\n{sections}", head.trim_end());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(DOCUMENT, expected).unwrap();
    } else {
        assert!(document == expected, "{DOCUMENT} is not what the code says; see its first lines");
    }
}

#[test]
fn the_page_names_every_flag_once() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(document.contains(&format!("--{flag}")), "{}: --{flag}", command.get_name());
        }
        commands.extend(command.get_subcommands().cloned());
    }
    assert_eq!(document.matches("--companion-pod <POD>").count(), 1);
}
