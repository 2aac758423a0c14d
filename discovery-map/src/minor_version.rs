//! A minor version of Kubernetes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A minor version of Kubernetes, such as 1.36.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MinorVersion {
    major: u16,
    minor: u16,
}

/// The text is not a minor version.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a minor version such as 1.36")]
pub struct InvalidMinorVersion(String);

impl MinorVersion {
    /// Returns the version of these numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Reads the two fields of a server's `/version`. A distribution may append to them: `36+`.
    #[must_use]
    pub fn of_fields(major: &str, minor: &str) -> Option<Self> {
        let number = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text.get(..end)?.parse().ok()
        };
        Some(Self { major: number(major)?, minor: number(minor)? })
    }

    /// Returns the major and the minor number.
    #[must_use]
    pub fn numbers(self) -> (u16, u16) {
        (self.major, self.minor)
    }
}

impl fmt::Display for MinorVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for MinorVersion {
    type Err = InvalidMinorVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('.');
        let version = numbers.and_then(|(major, minor)| Self::of_fields(major, minor));
        // What is written must be what is read, so that a version is never written in two ways.
        version
            .filter(|version| version.to_string() == text)
            .ok_or_else(|| InvalidMinorVersion(text.to_owned()))
    }
}

impl From<MinorVersion> for String {
    fn from(version: MinorVersion) -> Self {
        version.to_string()
    }
}

impl TryFrom<String> for MinorVersion {
    type Error = InvalidMinorVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::MinorVersion;

    #[test]
    fn a_minor_version_is_written_as_it_is_read() {
        for text in ["1.36", "0.0", "2.9"] {
            assert_eq!(text.parse::<MinorVersion>().unwrap().to_string(), text);
        }
        for text in ["", "1", "1.", ".1", "1.36.3", "1.036", "v1.36", "1.36+", "1.70000"] {
            assert!(text.parse::<MinorVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn minor_versions_are_ordered_by_number() {
        assert!(MinorVersion::new(1, 9) < MinorVersion::new(1, 10));
        assert!(MinorVersion::new(1, 99) < MinorVersion::new(2, 0));
    }
}
