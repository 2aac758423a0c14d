//! The two versions of a run.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;

/// Two versions, such as `1.36+1.37`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The older one.
    pub older: Version,
    /// The newer one, whose suite runs.
    pub newer: Version,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.older, self.newer)
    }
}

impl FromStr for Pair {
    type Err = anyhow::Error;

    /// Reads `1.36+1.37`. Fails if a version is unknown, or the first is not
    /// the older one.
    fn from_str(text: &str) -> Result<Self> {
        let (older, newer) =
            text.split_once('+').context("must be two versions, such as 1.36+1.37")?;
        let pair = Self { older: older.parse()?, newer: newer.parse()? };
        ensure!(pair.older < pair.newer, "{text}: the older version must come first");
        Ok(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::Pair;

    #[test]
    fn a_pair_is_two_versions_older_first() {
        assert_eq!("1.35+1.36".parse::<Pair>().unwrap().to_string(), "1.35+1.36");
        for wrong in ["1.36", "1.36+1.35", "1.36+1.36", "1.36+0.1"] {
            assert!(wrong.parse::<Pair>().is_err(), "{wrong}");
        }
    }
}
