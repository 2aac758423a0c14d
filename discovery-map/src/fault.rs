//! What is wrong with a document, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place as a path of field names: `sets[2].cluster`.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

/// Everything that is wrong with one document; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub(crate) Vec<Fault>);

impl Faults {
    pub(crate) fn one(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(vec![Fault { place: place.into(), problem: problem.into() }])
    }

    /// The faults, in the order of the document's fields.
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
    /// One line, as a log wants it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
