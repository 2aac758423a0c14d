//! Whether Kubernetes' version skew policy is kept by routing: the field `skewPolicy`.

use std::fmt;
use std::str::FromStr;

/// What is done about a component that is newer than servers that could answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkewPolicy {
    /// Servers that are at least as new answer it.
    Keep,
    /// It is treated as every other client.
    Ignore,
}

impl SkewPolicy {
    const ALL: [Self; 2] = [Self::Keep, Self::Ignore];

    fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Ignore => "ignore",
        }
    }
}

impl fmt::Display for SkewPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SkewPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let policy = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        policy.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
