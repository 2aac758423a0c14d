//! The program; everything that it does is in the library.

use std::process::ExitCode;

use clap::Parser;
use companion::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().execute().unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
