//! Why the companion ends.

use std::fmt::Display;

/// Why the companion could not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AppError(pub(super) String);

/// Returns a function that converts an error, and puts what failed in front.
pub(super) fn failed<E: Display>(what: &'static str) -> impl Fn(E) -> AppError {
    move |error| AppError(format!("{what}{error}"))
}
