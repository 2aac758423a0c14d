//! The version of a kube-apiserver: which API it serves, and which of two servers is newer.
//!
//! A server of 1.31 and later can emulate an earlier minor version (`--emulated-version`). It then
//! serves the types, defaults and validation of that version, and says so in `/version`
//! (`emulationMajor`, `emulationMinor`; `k8s.io/apimachinery/pkg/version/types.go`). So that version
//! counts, not the one of its binary. The minimum compatibility version of 1.34 and later
//! (`--min-compatibility-version`) does not count: it restrains what is written to the store, and no
//! client sees it.

use std::sync::Arc;

use discovery_map::MinorVersion;
use serde::Deserialize;

/// The version of a kube-apiserver, by its `/version`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Info")]
pub struct ServerVersion {
    /// The version of its binary, such as `v1.37.2`.
    pub git_version: Arc<str>,
    /// The minor version whose API it serves: the emulated one, else that of its binary. `None` if
    /// the server gives no number.
    pub minor: Option<MinorVersion>,
}

/// The age of a version. A version that cannot be parsed is older than all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// Of a server that emulates a version, that version.
    minor: Option<MinorVersion>,
    numbers: [u64; 3],
    /// A pre-release is older than its release.
    released: bool,
    /// The text of a pre-release.
    rest: Box<str>,
}

/// The fields of `/version` that decide the version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    #[serde(default)]
    major: Box<str>,
    #[serde(default)]
    minor: Box<str>,
    #[serde(default)]
    emulation_major: Box<str>,
    #[serde(default)]
    emulation_minor: Box<str>,
    git_version: Arc<str>,
}

impl ServerVersion {
    /// Returns the version of a server if only the version of its binary is known.
    #[must_use]
    pub fn of_binary(git_version: Arc<str>) -> Self {
        let minor = Release::parse(&git_version).minor;
        Self { git_version, minor }
    }

    /// Returns the age.
    #[must_use]
    pub fn release(&self) -> Release {
        Release { minor: self.minor, ..Release::parse(&self.git_version) }
    }
}

impl From<Info> for ServerVersion {
    fn from(info: Info) -> Self {
        let binary = Self::of_binary(info.git_version);
        let minor = MinorVersion::of_fields(&info.emulation_major, &info.emulation_minor)
            .or_else(|| MinorVersion::of_fields(&info.major, &info.minor))
            .or(binary.minor);
        Self { minor, ..binary }
    }
}

impl Release {
    /// Parses the `gitVersion` of `/version`, such as `v1.36.3` or `v1.37.0-alpha.1+abc`.
    #[must_use]
    pub fn parse(version: &str) -> Self {
        let version = version.strip_prefix('v').unwrap_or(version);
        let end = version.find(['-', '+']).unwrap_or(version.len());
        let (core, rest) = version.split_at_checked(end).unwrap_or((version, ""));
        let mut numbers = [0; 3];
        for (number, text) in numbers.iter_mut().zip(core.split('.')) {
            match text.parse() {
                Ok(value) => *number = value,
                Err(_) => return Self::default(),
            }
        }
        let minor = core.split_once('.').and_then(|(major, rest)| {
            MinorVersion::of_fields(major, rest.split('.').next().unwrap_or(rest))
        });
        let pre = ["-alpha", "-beta", "-rc"].iter().any(|word| rest.starts_with(word));
        // What a distribution appends does not tell the age.
        Self { minor, numbers, released: !pre, rest: if pre { rest.into() } else { "".into() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ServerVersion {
        serde_json::from_str(json).unwrap()
    }

    fn minor(json: &str) -> Option<String> {
        read(json).minor.map(|minor| minor.to_string())
    }

    #[test]
    fn releases_are_ordered_by_number_and_pre_releases_come_first() {
        let sorted = ["?", "v1.9.9", "v1.36.0-alpha.1", "v1.36.0-rc.1", "v1.36.0", "v1.36.10+k3s1"];
        let releases: Vec<_> = sorted.iter().map(|text| Release::parse(text)).collect();
        assert!(releases.is_sorted_by(|a, b| a < b), "{releases:?}");
        assert_eq!(Release::parse("v1.36.3-eks-1"), Release::parse("v1.36.3+k3s2"));
    }

    #[test]
    fn the_emulated_version_counts_before_that_of_the_binary() {
        let emulates = r#"{"major":"1","minor":"37","emulationMajor":"1","emulationMinor":"36",
            "minCompatibilityMajor":"1","minCompatibilityMinor":"35","gitVersion":"v1.37.2"}"#;
        assert_eq!(minor(emulates).as_deref(), Some("1.36"));
        let plain = r#"{"major":"1","minor":"36","gitVersion":"v1.36.3"}"#;
        assert!(read(emulates).release() > read(plain).release(), "its binary is newer");
        let newer = r#"{"major":"1","minor":"37","gitVersion":"v1.37.0-alpha.1"}"#;
        assert!(read(newer).release() > read(emulates).release(), "its API is newer");
    }

    #[test]
    fn the_minor_version_is_read_from_what_there_is() {
        let cases = [
            (r#"{"major":"1","minor":"29+","gitVersion":"v1.29.1-eks-508b6b3"}"#, Some("1.29")),
            (r#"{"gitVersion":"v1.36.3"}"#, Some("1.36")),
            (r#"{"major":"","minor":"","gitVersion":"v1.36.3"}"#, Some("1.36")),
            (r#"{"gitVersion":"v0.0.0-master+$Format:%H$"}"#, Some("0.0")),
            (r#"{"gitVersion":"unknown"}"#, None),
        ];
        for (json, expected) in cases {
            assert_eq!(minor(json).as_deref(), expected, "{json}");
        }
        assert!(serde_json::from_str::<ServerVersion>("{}").is_err());
    }
}
