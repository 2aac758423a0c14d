//! The Kubernetes versions that control planes can be built of.
//!
//! This list and the files `integration/control-plane/v*.mod` name the same
//! versions; a test compares them. All else follows: the programs that `tools/`
//! builds from the files, and what the tests run from the list.

use std::fmt;
use std::str::FromStr;

use anyhow::Context;

macro_rules! versions {
    ($($name:ident $text:literal),+ $(,)?) => {
        /// A Kubernetes version; older ones are less.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Version {
            $(#[doc = concat!("Kubernetes ", $text, ".")] $name,)+
        }

        impl Version {
            /// All versions, oldest first.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns major and minor version, such as `1.36`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

versions! {
    V1_34 "1.34",
    V1_35 "1.35",
    V1_36 "1.36",
    V1_37 "1.37",
}

impl Version {
    /// The two newest versions, older first.
    pub const NEWEST_PAIR: [Self; 2] = match Self::ALL {
        [.., older, newer] => [*older, *newer],
        _ => panic!("skew needs two versions"),
    };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    /// Reads major and minor version, such as `1.36`. Fails for a version that
    /// is not in the list.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|version| version.as_str() == text);
        found.with_context(|| format!("{text:?} is none of the versions {:?}", Self::ALL))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::Version;

    #[test]
    fn each_version_has_a_module_file() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../control-plane");
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let files: BTreeSet<String> = names
            .filter_map(|name| Some(name.to_str()?.strip_suffix(".mod")?.strip_prefix('v')?.into()))
            .collect();
        let listed: BTreeSet<String> = Version::ALL.iter().map(Version::to_string).collect();
        assert_eq!(listed, files);
    }

    #[test]
    fn versions_are_read_as_they_are_written() {
        for version in Version::ALL {
            assert_eq!(version.to_string().parse::<Version>().unwrap(), *version);
        }
        assert!("1.3".parse::<Version>().is_err());
    }
}
