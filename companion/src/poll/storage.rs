//! When to read the storage versions of a peer's types. They are in the older documents alone, one
//! for each group-version, which have no `ETag`. What is built into a peer stores its objects alike
//! as long as the peer runs, so each document is read once. Custom resources are left out: all
//! servers store them as their definition says.

use std::collections::{BTreeSet, VecDeque};

use api_discovery::{GroupVersion, LegacyGroupVersion, Listing, Origins, Part};

use crate::apiserver::ApiServerClient;

/// Which documents are still to be read, and what was read.
#[derive(Debug, Default)]
pub(super) struct StorageSchedule {
    listed: [BTreeSet<GroupVersion>; 2],
    /// With the number of attempts that are left.
    due: VecDeque<(GroupVersion, u8)>,
    read: Vec<(GroupVersion, LegacyGroupVersion)>,
}

impl StorageSchedule {
    /// How often a document is requested that does not come. The server of an aggregated API may
    /// not answer at all.
    const ATTEMPTS: u8 = 3;

    /// Notes what one half of discovery lists. What is new is due.
    pub(super) fn list(&mut self, part: Part, listing: &Listing) {
        let groups = listing.groups().iter().map(|group| &group.names);
        let all = groups.flat_map(|names| {
            names.versions.iter().map(|version| (names.name.clone(), version.name.clone()))
        });
        // By the names alone: what the cluster says of them reaches the index only.
        let named = Origins::default();
        let now: BTreeSet<_> =
            all.filter(|(group, version)| named.is_built_in(group, version)).collect();
        let [core, others] = &mut self.listed;
        let listed = if part == Part::Core { core } else { others };
        self.due.retain(|(name, _)| Part::of_group(&name.0) != part || now.contains(name));
        self.due.extend(now.difference(listed).map(|name| (name.clone(), Self::ATTEMPTS)));
        *listed = now;
    }

    /// Makes everything due: the peer may have been started anew, as another version.
    pub(super) fn start_again(&mut self) {
        self.read.clear();
        let all = self.listed.iter().flatten();
        self.due = all.map(|name| (name.clone(), Self::ATTEMPTS)).collect();
    }

    /// Reads what is due, and returns it when nothing is left. If this is canceled, what was read
    /// is kept, and the next call goes on.
    pub(super) async fn read(
        &mut self,
        client: &ApiServerClient,
    ) -> Vec<(GroupVersion, LegacyGroupVersion)> {
        while let Some((name, attempts)) = self.due.pop_front() {
            if attempts > 1 {
                self.due.push_back((name.clone(), attempts - 1));
            }
            match client.group_version(&name.0, &name.1).await {
                Ok(document) => {
                    self.due.retain(|(other, _)| *other != name);
                    self.read.push((name, document));
                }
                Err(error) => {
                    let (group, version) = name;
                    tracing::debug!(%group, %version, %error, "cannot read storage versions");
                }
            }
        }
        std::mem::take(&mut self.read)
    }
}
