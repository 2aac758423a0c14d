//! Collects the faults of a configuration while it is read.

use std::cell::RefCell;

use discovery_map::{Fault, Faults};

/// Where faults are collected.
#[derive(Debug, Default)]
pub(super) struct FaultLog(RefCell<Vec<Fault>>);

/// There is no value, and the log has the reason: only [`FaultLog::add`] makes this.
#[derive(Debug)]
pub(super) struct Faulty(());

impl FaultLog {
    /// Logs a fault at a place.
    pub(super) fn add(&self, place: impl Into<String>, problem: impl Into<String>) -> Faulty {
        self.0.borrow_mut().push(Fault::new(place, problem));
        Faulty(())
    }

    /// Returns the value if there is no fault.
    pub(super) fn into_result<T>(self, value: Result<T, Faulty>) -> Result<T, Faults> {
        Faults::from_list(self.0.into_inner())?;
        // Never faulty here: its fault would be in the log.
        value.map_err(|Faulty(())| Faults::one("document", "is not valid"))
    }
}
