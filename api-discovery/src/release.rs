//! The version of a kube-apiserver, to tell which of two is newer.

/// A Kubernetes version such as `v1.36.3` or `v1.37.0-alpha.1+abc`, ordered by
/// age. A version that cannot be parsed is older than all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    numbers: [u64; 3],
    /// A pre-release is older than its release.
    released: bool,
    /// The text of a pre-release.
    rest: Box<str>,
}

impl Release {
    /// Parses the `gitVersion` of `/version`.
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
        let pre = ["-alpha", "-beta", "-rc"].iter().any(|word| rest.starts_with(word));
        // What a distribution appends does not tell the age.
        Self { numbers, released: !pre, rest: if pre { rest.into() } else { "".into() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_by_number_and_pre_releases_come_first() {
        let sorted = ["?", "v1.9.9", "v1.36.0-alpha.1", "v1.36.0-rc.1", "v1.36.0", "v1.36.10+k3s1"];
        let releases: Vec<_> = sorted.iter().map(|text| Release::parse(text)).collect();
        assert!(releases.is_sorted_by(|a, b| a < b), "{releases:?}");
        assert_eq!(Release::parse("v1.36.3-eks-1"), Release::parse("v1.36.3+k3s2"));
    }
}
