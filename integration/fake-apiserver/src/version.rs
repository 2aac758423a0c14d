//! The Kubernetes versions that control planes can be built of.

use std::fmt;

/// A Kubernetes version; older ones are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.35.
    V1_35,
    /// 1.36.
    V1_36,
}

impl Version {
    /// All versions, oldest first.
    pub const ALL: [Self; 2] = [Self::V1_35, Self::V1_36];
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_35 => "1.35",
            Self::V1_36 => "1.36",
        })
    }
}
