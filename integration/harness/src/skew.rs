//! Servers of different versions.

use fake_apiserver::Version;

use crate::control_plane::ServerOptions;

/// The index of the older server, which has a type of its own.
pub const OLD: usize = 0;

/// The index of the newer server, which has types of its own too.
pub const NEW: usize = 1;

/// 1.35 without `pods/resize` and with a type of its own, and 1.36 as it is.
pub fn servers() -> Vec<ServerOptions> {
    vec![
        ServerOptions::new("old", Version::V1_35)
            // 1.35 cannot turn the subresource off for itself.
            .argument("--emulated-version=1.34")
            .argument("--feature-gates=InPlacePodVerticalScaling=false,ClusterTrustBundle=true")
            .argument("--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true"),
        ServerOptions::new("new", Version::V1_36),
    ]
}

/// Returns each pair of versions, older first, and all versions together: the
/// combinations in which an upgrade can be.
pub fn matrix() -> Vec<Vec<Version>> {
    let mut combinations = Vec::new();
    for (index, newer) in Version::ALL.iter().enumerate() {
        combinations.extend(Version::ALL.iter().take(index).map(|older| vec![*older, *newer]));
    }
    if Version::ALL.len() > 2 {
        combinations.push(Version::ALL.to_vec());
    }
    combinations
}

/// Returns how versions are written together: `1.36+1.37`.
pub fn name(versions: &[Version]) -> String {
    versions.iter().map(Version::to_string).collect::<Vec<_>>().join("+")
}
