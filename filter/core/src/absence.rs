//! What the companion's answer to an absence query means.

use discovery_map::Absence;

/// What is known of a type when the companion was asked; a closed set, for it
/// labels a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The companion answered.
    Answered(Absence),
    /// The companion did not answer, or not in time.
    NoAnswer,
}

impl Verdict {
    /// The labels of all verdicts, in the order of their numbers.
    pub(crate) const LABELS: [&str; 4] = ["absent", "served", "unclear", "no_answer"];

    /// The position of the verdict's label.
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Answered(absence) => absence as usize,
            Self::NoAnswer => Absence::ALL.len(),
        }
    }

    /// Reads an answer by its status. `has_date` is whether it has a `Date`:
    /// the companion always sends one, and the 503 or 504 that Envoy makes up
    /// when there is no answer has none.
    pub(crate) fn from_answer(status: &[u8], has_date: bool) -> Self {
        match Absence::from_status(status) {
            Some(Absence::Unclear) if !has_date => Self::NoAnswer,
            Some(absence) => Self::Answered(absence),
            None => Self::NoAnswer,
        }
    }

    /// Returns whether the original 404 passes.
    pub(crate) fn passes(self, passes_unanswered: bool) -> bool {
        match self {
            Self::Answered(absence) => absence == Absence::Absent,
            Self::NoAnswer => passes_unanswered,
        }
    }
}
