//! Where the facts come from: a companion, or the API servers themselves.

use anyhow::Result;

use crate::args::Connection;
use crate::changes::Changes;
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

/// What a gate needs to know.
pub struct Known {
    pub facts: Facts,
    /// Which Envoys a companion serves. `None` without one.
    pub envoys: Option<Served>,
    /// What changed last. None without a companion.
    pub changes: Changes,
}

/// The Envoys of one companion.
pub struct Served {
    pub envoys: Envoys,
    /// The number of companions beside it that are ready, if its pod was found by its labels.
    pub other_companions: usize,
}

/// Reads the facts, and what else a companion knows.
///
/// # Errors
/// As [`facts`].
pub async fn known(args: &Connection) -> Result<Known> {
    if args.is_direct() {
        let (facts, changes) = (servers::facts(args).await?, Changes::default());
        return Ok(Known { facts, envoys: None, changes });
    }
    let mut companion = Companion::connect(args).await?;
    let facts = companion.facts().await?;
    let envoys = companion.envoys().await?;
    let served = Served { envoys, other_companions: companion.others };
    Ok(Known { facts, envoys: Some(served), changes: companion.changes().await? })
}
