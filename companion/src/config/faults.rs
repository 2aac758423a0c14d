//! What is wrong with a configuration, and where.

use std::cell::RefCell;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place as a path of field names: `peers[2].address`.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(Vec<Fault>);

/// Where faults are collected.
#[derive(Debug, Default)]
pub(super) struct FaultLog(RefCell<Vec<Fault>>);

/// There is no value, and the log has the reason: [`FaultLog::add`] alone
/// makes this.
#[derive(Debug)]
pub(super) struct Faulty(());

impl Fault {
    /// A fault at a place.
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

impl Faults {
    /// An error if there is any fault.
    ///
    /// # Errors
    /// The faults, if there are any.
    pub fn from_list(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// The faults, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl fmt::Display for Faults {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl FaultLog {
    pub(super) fn add(&self, place: impl Into<String>, problem: impl Into<String>) -> Faulty {
        self.0.borrow_mut().push(Fault::new(place, problem));
        Faulty(())
    }

    /// The value, unless anything is wrong.
    pub(super) fn into_result<T>(self, value: Result<T, Faulty>) -> Result<T, Faults> {
        let faults = self.0.into_inner();
        match value {
            Ok(value) if faults.is_empty() => Ok(value),
            _ => Err(Faults(faults)),
        }
    }
}
