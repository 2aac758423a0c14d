//! Reads the component of Kubernetes that sends a request, and its version, from `User-Agent`.
//!
//! client-go builds the header (`k8s.io/client-go/rest/config.go`, `DefaultKubernetesUserAgent`): the
//! file name of the program, its version, the platform, the commit, and what a controller adds.
//!
//! ```text
//!  kubelet/v1.37.0 (linux/amd64) kubernetes/1a2b3c4
//!  kube-controller-manager/v1.36.3+k3s1 (linux/arm64) kubernetes/1a2b3c4/shared-informers
//!  kubelet.exe/v1.37.0 (windows/amd64) kubernetes/1a2b3c4
//! ```
//!
//! It cuts the version at its first `-`, so that pre-releases and the builds of most distributors look
//! like releases; other builders of the header need not. Only the beginning counts here, up to the
//! minor version. The header is a claim: nothing but the choice among servers may depend on it.

use std::fmt;

use discovery_map::MinorVersion;

/// A component that Kubernetes' version skew policy allows no older server
/// (<https://kubernetes.io/releases/version-skew-policy/>); a closed set, for it labels a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The kubelet of a node.
    Kubelet,
    /// The kube-proxy of a node.
    KubeProxy,
    /// kube-controller-manager.
    KubeControllerManager,
    /// kube-scheduler.
    KubeScheduler,
}

/// A component, and the version that it says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentVersion {
    /// The component.
    pub component: Component,
    /// Its minor version.
    pub version: MinorVersion,
}

impl Component {
    /// Every component, in the order of their values.
    pub const ALL: [Self; 4] =
        [Self::Kubelet, Self::KubeProxy, Self::KubeControllerManager, Self::KubeScheduler];

    /// Returns the name of its program.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
        }
    }

    /// Returns the label's value: Envoy's statistics have no `-` in it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube_proxy",
            Self::KubeControllerManager => "kube_controller_manager",
            Self::KubeScheduler => "kube_scheduler",
        }
    }
}

impl ComponentVersion {
    /// Reads the value of `User-Agent`, of any bytes. `None` for every other client, and for a version
    /// that is none of Kubernetes.
    #[must_use]
    pub fn of_user_agent(value: &[u8]) -> Option<Self> {
        // All of them begin with `kube`, and so does kubectl, but hardly any other client.
        if !value.starts_with(b"kube") {
            return None;
        }
        let slash = value.iter().position(|&byte| byte == b'/')?;
        let (program, rest) = value.split_at_checked(slash)?;
        let program = program.strip_suffix(b".exe").unwrap_or(program);
        let mut components = Component::ALL.into_iter();
        let component = components.find(|known| known.as_str().as_bytes() == program)?;
        let (major, rest) = number(rest.strip_prefix(b"/v")?)?;
        let (minor, rest) = number(rest.strip_prefix(b".")?)?;
        // The patch release, what a distributor added, or the rest of the header.
        matches!(rest, [] | [b'.' | b'-' | b'+' | b' ', ..])
            .then_some(Self { component, version: MinorVersion::new(major, minor) })
    }
}

impl fmt::Display for ComponentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.component.as_str(), self.version)
    }
}

/// Reads a decimal number without leading zeros, and returns what follows it.
fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.len() > 1 && digits.starts_with(b"0") {
        return None;
    }
    Some((str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests;
