//! When to read the storage versions of a peer's types. They are in the older documents alone, one
//! for each group-version, which have no `ETag`. What is built into a peer stores its objects alike
//! as long as the peer runs, so each document is read once. Custom resources are left out: all
//! servers store them as their definition says.

use std::collections::{BTreeSet, VecDeque};

use api_discovery::{
    GroupVersion, LegacyGroupVersion, Listing, Origins, Part, TypeCount, group_version_path,
};

use crate::apiserver::{ApiServerClient, Budget, FetchError};
use crate::config::PeerName;

/// Which documents are still to be read, and what was read.
#[derive(Debug, Default)]
pub(super) struct StorageSchedule {
    listed: [BTreeSet<GroupVersion>; 2],
    /// With the number of attempts that are left.
    due: VecDeque<(GroupVersion, u8)>,
    read: Vec<(GroupVersion, LegacyGroupVersion)>,
    /// For all documents until everything is due again.
    budget: Option<Budget>,
    types: TypeCount,
    /// Whether the documents have more than is read. No other is read then.
    exceeded: bool,
}

impl StorageSchedule {
    /// How often a document is requested that does not come. The server of an aggregated API may
    /// not answer at all.
    const ATTEMPTS: u8 = 3;
    /// More group-versions than are built into any server, in one half of discovery.
    const MOST: usize = 1000;

    /// Notes what one half of discovery lists. What is new is due.
    pub(super) fn list(&mut self, part: Part, listing: &Listing) {
        let groups = listing.groups().iter().map(|group| &group.names);
        let all = groups.flat_map(|names| {
            names.versions.iter().map(|version| (names.name.clone(), version.name.clone()))
        });
        // By the names alone: what the cluster says of them reaches the index only.
        let named = Origins::default();
        let built_in = all.filter(|(group, version)| named.is_built_in(group, version));
        let now: BTreeSet<_> = built_in.take(Self::MOST).collect();
        let [core, others] = &mut self.listed;
        let listed = if part == Part::Core { core } else { others };
        self.due.retain(|(name, _)| Part::of_group(&name.0) != part || now.contains(name));
        self.due.extend(now.difference(listed).map(|name| (name.clone(), Self::ATTEMPTS)));
        *listed = now;
    }

    /// Makes everything due: the peer may have been started anew, as another version.
    pub(super) fn start_again(&mut self) {
        self.read.clear();
        (self.budget, self.types, self.exceeded) = (None, TypeCount::default(), false);
        let all = self.listed.iter().flatten();
        self.due = all.map(|name| (name.clone(), Self::ATTEMPTS)).collect();
    }

    /// Reads what is due, and returns it when nothing is left. If this is canceled, what was read
    /// is kept, and the next call goes on.
    pub(super) async fn read(
        &mut self,
        peer: &PeerName,
        client: &ApiServerClient,
    ) -> Vec<(GroupVersion, LegacyGroupVersion)> {
        let budget = self.budget.get_or_insert_with(|| client.budget());
        let client = client.within(budget.clone());
        while let Some((name, attempts)) = self.next() {
            if attempts > 1 {
                self.due.push_back((name.clone(), attempts - 1));
            }
            match self.document(&client, &name).await {
                Ok(document) => {
                    self.due.retain(|(other, _)| *other != name);
                    self.read.push((name, document));
                }
                Err(error @ FetchError::Limit { .. }) => {
                    tracing::warn!(%peer, %error, "storage versions are not read any more");
                    self.exceeded = true;
                }
                Err(error) => {
                    let (group, version) = name;
                    tracing::debug!(%peer, %group, %version, %error, "cannot read storage versions");
                }
            }
        }
        std::mem::take(&mut self.read)
    }

    fn next(&mut self) -> Option<(GroupVersion, u8)> {
        if self.exceeded {
            self.due.clear();
        }
        self.due.pop_front()
    }

    async fn document(
        &mut self,
        client: &ApiServerClient,
        (group, version): &GroupVersion,
    ) -> Result<LegacyGroupVersion, FetchError> {
        let document = client.group_version(group, version).await?;
        let counted = document.count(&mut self.types);
        let path = || group_version_path(group, version);
        counted.map_err(|error| FetchError::limit(&path(), error))?;
        Ok(document)
    }
}
