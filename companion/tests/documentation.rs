//! The tables in `docs/` say what the code does.

#[cfg(test)]
#[path = "documentation/cli.rs"]
mod cli;

#[cfg(test)]
#[path = "documentation/configuration.rs"]
mod configuration;

#[cfg(test)]
#[path = "documentation/mirror.rs"]
mod mirror;
