//! What one Envoy has of one type from one control plane, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::ads::resource::Resource;
use crate::ads::snapshot::Resources;
use crate::ads::version::version_of_all;

/// What an Envoy has accepted, of one name.
#[derive(Clone, Debug)]
pub struct Held {
    pub version: String,
    /// The generation of its map, if it is a filter.
    pub generation: u64,
    /// `None` if it has it from an earlier stream.
    pub resource: Option<Arc<Resource>>,
}

/// What is sent of one control plane and one type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub upserts: Vec<Arc<Resource>>,
    pub removed: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    names: BTreeSet<String>,
    has: BTreeMap<String, Held>,
    /// The names that it wants again although it has them.
    due: BTreeSet<String>,
    /// The names of which it is not known what the Envoy has: they were in a push that it refused,
    /// and it may have taken a part of that.
    doubtful: BTreeSet<String>,
    /// The names that it was told do not exist.
    absent: BTreeSet<String>,
    unanswered: Option<(Change, u64)>,
    refused: Option<Change>,
    version: OnceLock<String>,
}

/// What of a type an Envoy gets, and what it loses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// All resources are asked for, whatever the names.
    pub all: bool,
    /// Whether resources that are not wanted any more are removed now: nothing that the Envoy has
    /// refers to them.
    pub unused: bool,
    /// Whether this includes resources that the Envoy asks for by name. If not, they are removed
    /// together with the resource that refers to them.
    pub named: bool,
    /// Names that never existed are told, too.
    pub absent: bool,
}

impl State {
    pub fn has(&self) -> &BTreeMap<String, Held> {
        &self.has
    }

    /// Returns the names that the Envoy asks for.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Returns the version of everything that it has. `None` if it has nothing.
    pub fn version(&self) -> Option<&str> {
        let all = || {
            version_of_all(
                self.has.iter().map(|(name, held)| (name.as_str(), held.version.as_str())),
            )
        };
        (!self.has.is_empty()).then(|| self.version.get_or_init(all).as_str())
    }

    /// Returns whether it has these, and nothing is on its way.
    pub fn holds(&self, wanted: &Resources) -> bool {
        self.unanswered.is_none() && wanted.values().all(|resource| self.has_this(resource))
    }

    /// Returns whether it has those of these that it asks for, and nothing is on its way.
    pub fn holds_asked(&self, wanted: &Resources, all: bool) -> bool {
        let mut asked = wanted.iter().filter(|(name, _)| all || self.names.contains(*name));
        self.unanswered.is_none() && asked.all(|(_, resource)| self.has_this(resource))
    }

    fn has_this(&self, resource: &Resource) -> bool {
        let name = &resource.name;
        let same = self.has.get(name).is_some_and(|held| held.version == resource.version);
        same && !self.due.contains(name) && !self.doubtful.contains(name)
    }

    /// Returns whether it is known what the Envoy has: no push is unanswered or was refused.
    pub fn is_certain(&self) -> bool {
        self.unanswered.is_none() && self.doubtful.is_empty()
    }

    /// Returns whether the last answer was a refusal.
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Returns whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        let nothing = self.names.is_empty() && self.has.is_empty();
        nothing && self.doubtful.is_empty() && self.unanswered.is_none()
    }

    /// Takes note of what it has from an earlier stream.
    pub fn resume(&mut self, name: String, version: String) {
        self.has.insert(name, Held { version, generation: 0, resource: None });
        self.version = OnceLock::new();
    }

    /// Adds a name that it asks for. Who asks `again` for what it has wants it again. Returns whether
    /// the name is new.
    pub fn subscribe(&mut self, name: &str, again: bool) -> bool {
        if again {
            self.repeat(name);
        }
        self.absent.remove(name);
        self.names.insert(name.to_owned())
    }

    /// Forgets a name that it does not ask for any more. Returns whether it did.
    pub fn unsubscribe(&mut self, name: &str) -> bool {
        self.absent.remove(name);
        self.has.remove(name);
        self.due.remove(name);
        self.doubtful.remove(name);
        self.version = OnceLock::new();
        self.names.remove(name)
    }

    /// Marks a name that it has to be sent once more.
    pub fn repeat(&mut self, name: &str) {
        if self.has.contains_key(name) {
            self.due.insert(name.to_owned());
        }
    }

    /// Takes over what another one knows.
    pub fn absorb(&mut self, other: Self) {
        self.names.extend(other.names);
        self.has.extend(other.has);
        self.due.extend(other.due);
        self.version = OnceLock::new();
    }

    /// Remembers what is sent, with this generation.
    pub fn send(&mut self, change: Change, generation: u64) {
        self.unanswered = Some((change, generation));
    }

    /// Returns the resources that were sent and are not answered.
    pub fn sent(&self) -> &[Arc<Resource>] {
        self.unanswered.as_ref().map_or(&[], |(change, _)| change.upserts.as_slice())
    }

    /// Takes note that the Envoy accepts what was sent.
    pub fn acknowledge(&mut self) {
        let Some((change, generation)) = self.unanswered.take() else { return };
        for name in change.removed {
            self.has.remove(&name);
            self.doubtful.remove(&name);
            // The session reports an absence only for names that the Envoy asked for.
            if self.names.contains(&name) {
                self.absent.insert(name);
            }
        }
        for resource in change.upserts {
            self.due.remove(&resource.name);
            self.doubtful.remove(&resource.name);
            let (name, version) = (resource.name.clone(), resource.version.clone());
            self.has.insert(name, Held { version, generation, resource: Some(resource) });
        }
        self.refused = None;
        self.version = OnceLock::new();
    }

    /// Remembers what the Envoy does not want. It still has what it had, or some of what was sent.
    pub fn refuse(&mut self) {
        self.refused = self.withdraw();
    }

    /// Forgets what was sent: the push had something of others that the Envoy may have refused.
    pub fn withdraw(&mut self) -> Option<Change> {
        let (change, _) = self.unanswered.take()?;
        self.doubtful.extend(change.upserts.iter().map(|resource| resource.name.clone()));
        // What it asks for by a name that never existed is no less there than before.
        let had = change.removed.iter().filter(|name| self.has.contains_key(*name));
        self.doubtful.extend(had.cloned());
        Some(change)
    }

    /// Returns whether the Envoy has not answered what was sent.
    pub fn is_unanswered(&self) -> bool {
        self.unanswered.is_some()
    }

    /// Returns the removal of everything that the Envoy may have, but for what stays. `None` if there
    /// is nothing to remove, or if it has not answered yet.
    pub fn removal(&self, stays: impl Fn(&Held) -> bool) -> Option<Change> {
        let names = self.has.keys().chain(&self.doubtful).collect::<BTreeSet<_>>().into_iter();
        let removed: Vec<_> =
            names.filter(|name| !self.has.get(*name).is_some_and(&stays)).cloned().collect();
        let some = !self.is_unanswered() && !removed.is_empty();
        some.then_some(Change { upserts: Vec::new(), removed })
    }

    /// Returns what is to be sent and to be removed. `None` if nothing is, if the Envoy has refused
    /// exactly that, or if it has not answered yet.
    pub fn change(&self, wanted: &Resources, scope: Scope) -> Option<Change> {
        if self.is_unanswered() {
            return None;
        }
        let asked = |name: &String| scope.all || self.names.contains(name);
        let differs =
            |(name, resource): &(&String, &Arc<Resource>)| asked(name) && !self.has_this(resource);
        let upserts: Vec<_> =
            wanted.iter().filter(differs).map(|(_, resource)| Arc::clone(resource)).collect();
        let gone = |name: &&String| !wanted.contains_key(*name);
        let mut removed = BTreeSet::new();
        if scope.unused && (scope.all || scope.named) {
            removed.extend(self.has.keys().chain(&self.doubtful).filter(gone).cloned());
        }
        if scope.absent && !scope.all {
            let told = |name: &&String| !self.absent.contains(*name);
            let never = |name: &&String| !self.has.contains_key(*name);
            removed.extend(self.names.iter().filter(gone).filter(told).filter(never).cloned());
        }
        let removed: Vec<_> = removed.into_iter().collect();
        // See `Session::push`: what all are asked for, and what goes, are not in one push.
        let changes = if scope.all {
            [(upserts, Vec::new()), (Vec::new(), removed)]
        } else {
            [(upserts, removed), Default::default()]
        };
        let mut changes = changes.map(|(upserts, removed)| Change { upserts, removed }).into_iter();
        let refused = self.refused.as_ref();
        changes.find(|change| Some(change) != refused && *change != Change::default())
    }
}
