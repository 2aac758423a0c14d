//! Where the facts come from: a companion, or the API servers themselves.

use anyhow::Result;

use crate::args::Connection;
use crate::companion::Companion;
use crate::facts::{Envoys, Facts};
use crate::servers;

/// Reads the facts.
///
/// # Errors
/// They cannot be read where the flags say.
pub async fn facts(args: &Connection) -> Result<Facts> {
    if args.is_direct() {
        return servers::facts(args).await;
    }
    Companion::connect(args).await?.facts().await
}

/// Reads the facts, and which Envoys a companion serves; `None` without one.
///
/// # Errors
/// As [`facts`].
pub async fn facts_and_envoys(args: &Connection) -> Result<(Facts, Option<Envoys>)> {
    if args.is_direct() {
        return Ok((servers::facts(args).await?, None));
    }
    let mut companion = Companion::connect(args).await?;
    Ok((companion.facts().await?, Some(companion.envoys().await?)))
}
