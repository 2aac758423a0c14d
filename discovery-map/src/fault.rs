//! What is wrong with a map or a configuration, and where.

use thiserror::Error;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct Fault {
    /// The place as a path of field names: `sets[2].cluster`.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

/// Everything that is wrong; never empty. Displayed on one line, for a log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", self.joined("; "))]
pub struct Faults(Vec<Fault>);

impl Fault {
    /// A fault at a place.
    #[must_use]
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

impl Faults {
    /// One fault.
    #[must_use]
    pub fn one(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(vec![Fault::new(place, problem)])
    }

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

    /// The faults, one a line, for a terminal.
    #[must_use]
    pub fn lines(&self) -> String {
        self.joined("\n")
    }

    fn joined(&self, separator: &str) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
    }
}
