//! How much of its decisions the filter carries out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much of its decisions about servers the filter carries out. What it does about a client's
/// identity is the same in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// All of them.
    #[default]
    Enforce,
    /// It routes requests and merges discovery, and lets pass each 404 that it would replace by 503.
    Reroute,
    /// None: it counts what it would have changed.
    Shadow,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Enforce, Self::Reroute, Self::Shadow];

    /// Returns the mode's name, in the configuration, the map and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Reroute => "reroute",
            Self::Shadow => "shadow",
        }
    }

    pub(crate) fn is_enforce(&self) -> bool {
        *self == Self::Enforce
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        mode.ok_or_else(|| format!("must be one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_by_the_name_that_it_is_written_with() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
        assert_eq!(
            "Shadow".parse::<Mode>(),
            Err("must be one of enforce, reroute, shadow".to_owned())
        );
    }
}
