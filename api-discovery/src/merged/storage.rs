//! What the serving peers say of storage versions. A merged document carries a hash if all peers
//! that list the resource give the same one. Peers that differ in nothing else still have
//! different documents, so these are merged as well.

use std::collections::BTreeMap;

use crate::legacy_reader::Hashes;
use crate::listing::Part;
use crate::storage::StorageVersions;

/// The storage versions of the serving peers, with the peers' positions.
pub(super) struct Stored<'p>(pub(super) Vec<(usize, &'p StorageVersions)>);

impl<'p> Stored<'p> {
    /// Returns whether any peers differ in a group-version of this half.
    pub(super) fn differs_in_part(&self, part: Part) -> bool {
        let all = self.0.iter().flat_map(|(_, stored)| stored.group_versions());
        let mut own = all.filter(|(group, _)| Part::of_group(group) == part);
        let peers: Vec<_> = self.0.iter().map(|(at, _)| *at).collect();
        own.any(|(group, version)| self.differs(&peers, group, version))
    }

    /// Returns whether these peers give different hashes for a resource that they all list. A peer
    /// whose document was not read yet says nothing.
    pub(super) fn differs(&self, peers: &[usize], group: &str, version: &str) -> bool {
        let mut first = BTreeMap::new();
        let mut said = self.of(peers, group, version).flatten().flatten();
        said.any(|(resource, hash)| *first.entry(resource).or_insert(hash) != hash)
    }

    /// Returns the hash on which all of these peers agree that list the resource; `None` if the
    /// document of one of them was not read yet.
    pub(super) fn agreed(
        &self,
        peers: &[usize],
        (group, version): (&str, &str),
        resource: &str,
    ) -> Option<&'p str> {
        let mut agreed = None;
        for hashes in self.of(peers, group, version) {
            let Some(hash) = hashes?.get(resource) else { continue };
            if *agreed.get_or_insert(&**hash) != &**hash {
                return None;
            }
        }
        agreed.filter(|hash| !hash.is_empty())
    }

    /// Returns what each of these peers says; `None` for one whose document was not read.
    fn of(
        &self,
        peers: &[usize],
        group: &str,
        version: &str,
    ) -> impl Iterator<Item = Option<&'p Hashes>> {
        let these = self.0.iter().filter(|(at, _)| peers.contains(at));
        these.map(move |(_, stored)| stored.of(group, version))
    }
}
