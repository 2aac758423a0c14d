//! Which Envoys can be served.
//!
//! Envoy ignores fields of dynamic resources that it does not know. An Envoy that is too old would
//! take the listeners and lose what protects clients, so it is refused by name and version. One
//! with listeners of its own does not even start: it refuses unknown fields in its bootstrap.

use std::fmt;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;

/// The name by which Envoy calls itself.
const ENVOY: &str = "envoy";

/// The oldest version that can be served, as major and minor version. It is the first with
/// `RetryPolicy.refresh_cluster_on_retry`, by which a request goes to another server after a 404
/// that can be wrong.
const OLDEST: (u32, u32) = (1, 39);

/// The version of an Envoy: major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvoyVersion(u32, u32, u32);

/// An Envoy does not know a field that clients need for their protection.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "Envoy {0} does not know RetryPolicy.refresh_cluster_on_retry: use Envoy {major}.{minor} or newer",
    major = OLDEST.0,
    minor = OLDEST.1
)]
pub struct TooOld(EnvoyVersion);

impl EnvoyVersion {
    /// Returns the version of the Envoy that a node describes. `None` for other programs, and for
    /// an Envoy that does not say its version in numbers.
    pub fn of(node: &Node) -> Option<Self> {
        let Some(UserAgentVersionType::UserAgentBuildVersion(build)) =
            &node.user_agent_version_type
        else {
            return None;
        };
        let version = build.version.as_ref().filter(|_| node.user_agent_name == ENVOY)?;
        Some(Self(version.major_number, version.minor_number, version.patch))
    }

    /// Checks that this version knows all fields of the resources.
    ///
    /// # Errors
    /// It does not. The error names the field.
    pub fn check(self) -> Result<(), TooOld> {
        if (self.0, self.1) < OLDEST { Err(TooOld(self)) } else { Ok(()) }
    }
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::BuildVersion;
    use envoy_types::pb::envoy::r#type::v3::SemanticVersion;

    use super::*;

    fn node(program: &str, major_number: u32, minor_number: u32) -> Node {
        let version = Some(SemanticVersion { major_number, minor_number, patch: 3 });
        let build = BuildVersion { version, metadata: None };
        Node {
            user_agent_name: program.to_owned(),
            user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(build)),
            ..Node::default()
        }
    }

    #[test]
    fn only_versions_that_lack_a_field_are_refused() {
        let check = |node: &Node| EnvoyVersion::of(node).map(EnvoyVersion::check);
        for (major, minor) in [(1, 38), (1, 9), (0, 40)] {
            assert!(check(&node("envoy", major, minor)).unwrap().is_err(), "{major}.{minor}");
        }
        for (major, minor) in [(1, 39), (1, 40), (2, 0)] {
            assert_eq!(check(&node("envoy", major, minor)), Some(Ok(())), "{major}.{minor}");
        }
    }

    #[test]
    fn the_error_names_the_version_and_the_field() {
        let error = EnvoyVersion::of(&node("envoy", 1, 38)).unwrap().check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "Envoy 1.38.3 does not know RetryPolicy.refresh_cluster_on_retry: use Envoy 1.39 or newer"
        );
    }

    #[test]
    fn other_programs_and_unknown_builds_have_no_version() {
        assert_eq!(EnvoyVersion::of(&node("mixed-version-mirror", 0, 1)), None);
        let text = UserAgentVersionType::UserAgentVersion("1.2.3".to_owned());
        let mut custom = node("envoy", 1, 2);
        custom.user_agent_version_type = Some(text);
        assert_eq!(EnvoyVersion::of(&custom), None);
        assert_eq!(EnvoyVersion::of(&Node::default()), None);
    }
}
