//! What is wrong with a map or a configuration, and where.

use std::fmt::{self, Display, Formatter};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place as a path of field names: `sets[2].cluster`.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        let mut text = String::new();
        for Fault { place, problem } in &self.0 {
            let separator = if text.is_empty() { "" } else { separator };
            text.extend([separator, place, ": ", problem]);
        }
        text
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl Display for Faults {
    /// All faults on one line, for a log.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined("; "))
    }
}

impl std::error::Error for Faults {}
