//! In which version a peer writes the objects of its types: the `storageVersionHash` of each, which
//! is in the older documents alone (`/api/v1`, `/apis/<group>/<version>`). Hashes are opaque and
//! can only be compared.

use std::collections::BTreeMap;

use crate::legacy_reader::{Hashes, LegacyGroupVersion};

/// The hashes that one peer gives, by group and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageVersions(BTreeMap<(Box<str>, Box<str>), Hashes>);

impl StorageVersions {
    /// Takes in the document of a group-version. Returns whether it changed anything.
    pub(crate) fn update(
        &mut self,
        group: &str,
        version: &str,
        document: &LegacyGroupVersion,
    ) -> bool {
        let hashes = document.storage_hashes();
        let before = self.0.insert((group.into(), version.into()), hashes.clone());
        before.as_ref() != Some(&hashes)
    }

    /// Returns the hashes of a group-version; `None` if its document was not read.
    pub(crate) fn of(&self, group: &str, version: &str) -> Option<&Hashes> {
        // Few enough for a key that is made anew.
        self.0.get(&(Box::from(group), Box::from(version)))
    }

    /// Returns every group-version whose document was read.
    pub(crate) fn group_versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.keys().map(|(group, version)| (&**group, &**version))
    }
}
