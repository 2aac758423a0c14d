//! Which version answers: the field `answeringVersion`.

use std::fmt;
use std::str::FromStr;

/// Which of several versions of the peers in rotation answers what all of them can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweringPolicy {
    /// The version of most peers.
    Majority,
    /// The newest version.
    Newest,
    /// The oldest version.
    Oldest,
    /// Every version.
    Any,
}

impl AnsweringPolicy {
    const ALL: [Self; 4] = [Self::Majority, Self::Newest, Self::Oldest, Self::Any];

    fn as_str(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Any => "any",
        }
    }
}

impl fmt::Display for AnsweringPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AnsweringPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let policy = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        policy.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
