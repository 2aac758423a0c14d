//! The causes of an error in one line, for logs that show no sources.

use std::error::Error;

/// Returns the causes of an error whose own text only says where it failed, such as reqwest's. An
/// error without causes is its own.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = followed_by(String::new(), error.source());
    if causes.is_empty() { error.to_string() } else { causes }
}

/// Returns an error with its causes, which it may not tell itself.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    followed_by(error.to_string(), error.source())
}

/// Adds what a text does not say yet.
fn followed_by(mut text: String, mut cause: Option<&(dyn Error + 'static)>) -> String {
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = if text.is_empty() { part } else { format!("{text}: {part}") };
        }
        cause = error.source();
    }
    text
}
