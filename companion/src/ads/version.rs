//! One version for several resources, so that one look tells whether an Envoy has all of them.

use std::collections::BTreeMap;

use crate::fingerprint::fingerprint;

/// Returns one version for several resources: that of the only one, or one that all of theirs give.
pub fn version_of_all<'r>(resources: impl Iterator<Item = (&'r str, &'r str)>) -> String {
    let mut all: Vec<_> = resources.collect();
    if let [(_, only)] = all.as_slice() {
        return (*only).to_owned();
    }
    all.sort_unstable();
    let lines: String = all.iter().map(|(name, version)| format!("{name} {version}\n")).collect();
    fingerprint(lines.as_bytes())
}

/// Returns one version for parts: that of the only one, or one that all of theirs give. `None`
/// without any.
pub fn version_of_parts(parts: &BTreeMap<&str, &str>) -> Option<String> {
    if let (1, Some(only)) = (parts.len(), parts.values().next()) {
        return Some((*only).to_owned());
    }
    let lines: String = parts.iter().map(|(part, version)| format!("{part} {version}\n")).collect();
    (!parts.is_empty()).then(|| fingerprint(lines.as_bytes()))
}
