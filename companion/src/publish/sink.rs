//! Who carries a plan to Envoy.

use std::collections::BTreeSet;

use super::error::PublishError;
use super::plan::{Name, Step};

/// Carries resources to Envoy.
///
/// A sink knows resources and their order, but neither peers nor maps. How Envoy gets to have one
/// step before the next is up to the sink: files wait a moment, a stream would wait for Envoy's
/// acknowledgement.
pub trait Sink {
    /// Carries out a step, after Envoy has what the steps before it were about. What Envoy has
    /// already need not be carried again.
    ///
    /// # Errors
    /// The step was not carried out, or not completely. It may be repeated. [`Sink::finish`] may
    /// say so instead.
    fn apply(&mut self, step: &Step) -> Result<(), PublishError>;

    /// Ends a series of steps: what was applied up to now belongs together.
    ///
    /// # Errors
    /// Not everything that was applied is carried. It may be repeated.
    fn finish(&mut self) -> Result<(), PublishError> {
        Ok(())
    }

    /// Returns whether Envoy can get some clusters or filter like those of a step, from this run or
    /// from earlier ones. Only of such steps.
    fn has(&self, step: &Step) -> bool;

    /// Returns which endpoints and secrets exist, from this run and from earlier ones.
    fn inventory(&self) -> BTreeSet<Name>;

    /// Returns what was lost or changed by others since it was applied, in words for the log. The
    /// caller applies everything again.
    fn take_damaged(&mut self) -> Vec<String>;
}
