//! What the next version of Kubernetes adds and removes on these servers, who uses the removed types, and when in
//! the rollout two servers have each new type.
//!
//! ```text
//!  builtin.txt ── builtin ─┐
//!  map (rows, peers) ──────┼─ rollout, changes ──┐
//!  /metrics ── usage ──────┤                     ├── Plan ── text, JSON, YAML, exit code
//!  audit logs ── audit ────┤                     │
//!  objects, definitions ───┴─ custom ────────────┘
//! ```

pub mod audit;
pub mod changes;
pub mod custom;
pub mod rollout;
mod text;
pub mod usage;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::builtin::ApiType;
use crate::check::Verdict;
use audit::{Audit, User};
use changes::{Changes, Served};
use custom::CustomResources;
use rollout::{Rollout, Step, When};
use usage::{Deprecated, Usage};

/// The plan of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// `yes` if no removed type is in use.
    pub verdict: Verdict,
    from: String,
    to: String,
    /// The servers that serve the new version already.
    upgraded: Vec<String>,
    rollout: Vec<Step>,
    added: Vec<Added>,
    /// New types that are off by default.
    optional: Vec<ApiType>,
    removed: Vec<Going>,
    /// Types that servers serve today, and upgraded ones only if a flag turns them on.
    off_by_default: Vec<Going>,
    /// Other deprecated types that clients requested.
    deprecated: Vec<Deprecated>,
    custom_resources: CustomResources,
    /// What could not be found out, and why.
    not_examined: Vec<String>,
}

/// A type that comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    #[serde(flatten)]
    api: ApiType,
    /// The servers that have it already.
    served_by: Vec<String>,
    /// When two servers have it, so that one can be down.
    two_servers: When,
}

/// A removed type, or one that a flag must keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Going {
    #[serde(flatten)]
    api: ApiType,
    served_by: Vec<String>,
    /// When no server has it any more.
    gone: When,
    /// The versions in which servers serve the resource today, and the new version does by default.
    other_versions: Vec<String>,
    /// The number of requests since the servers started; `None` if a server could not be asked, and the
    /// others got none.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<u64>,
    /// The servers that got some.
    requested_at: Vec<String>,
    /// Who requested it, by the audit logs.
    users: Vec<Client>,
    /// The number of objects of the resource, in whatever version they are stored; `None` if it is not
    /// known, and of a subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    verdict: Verdict,
}

/// A client of a removed type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    #[serde(flatten)]
    user: User,
    requests: u64,
}

/// Everything that was found out, besides what changes.
#[derive(Debug, Default)]
pub struct Found {
    pub usage: Usage,
    /// Whether every server in rotation was asked.
    pub usage_is_complete: bool,
    pub audit: Audit,
    /// What is known of the resource of each removed type.
    pub resources: BTreeMap<ApiType, Resource>,
    pub custom_resources: CustomResources,
    pub not_examined: Vec<String>,
}

/// What is known of a resource, in whatever version.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    pub objects: Option<u64>,
    /// Versions in which it stays.
    pub versions: Vec<String>,
}

impl Plan {
    /// Puts everything together.
    pub fn new(rollout: &Rollout, changes: Changes, found: Found) -> Self {
        let Changes { added, optional, removed, off } = changes;
        let all = |types: Vec<Served>, goes| -> Vec<Going> {
            types.into_iter().map(|served| Going::new(served, rollout, &found, goes)).collect()
        };
        let (removed, off_by_default) = (all(removed, Goes::ForGood), all(off, Goes::UnlessKept));
        let going = removed.iter().chain(&off_by_default);
        let deprecated = found.usage.deprecated(&going.clone().map(|one| &one.api).collect());
        let mut verdict = going.map(|one| one.verdict).max().unwrap_or(Verdict::Yes);
        if !found.custom_resources.conflicts.is_empty() {
            verdict = verdict.max(Verdict::Warning);
        }
        let added = added.into_iter().map(|Served { api, by }| Added {
            api,
            two_servers: rollout.two_serve(&by),
            served_by: by,
        });
        Self {
            verdict,
            from: rollout.from.to_string(),
            to: rollout.to.to_string(),
            upgraded: rollout.done.clone(),
            rollout: rollout.steps(),
            added: added.collect(),
            optional,
            removed,
            off_by_default,
            deprecated,
            custom_resources: found.custom_resources,
            not_examined: found.not_examined,
        }
    }
}

/// Whether a flag can keep a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    ForGood,
    UnlessKept,
}

impl Going {
    fn new(Served { api, by }: Served, rollout: &Rollout, found: &Found, goes: Goes) -> Self {
        let (requests, requested_at) = found.usage.requests(&api);
        let is_known = found.usage_is_complete || requests > 0;
        let users = found.audit.users(&api).into_iter();
        let users: Vec<_> = users.map(|(user, requests)| Client { user, requests }).collect();
        let Resource { objects, versions } = found.resources.get(&api).cloned().unwrap_or_default();
        let mut going = Self {
            gone: rollout.none_serves(&by),
            api,
            served_by: by,
            other_versions: versions,
            requests: is_known.then_some(requests),
            requested_at,
            users,
            objects,
            verdict: Verdict::Yes,
        };
        going.verdict = going.judge(goes);
        going
    }

    fn judge(&self, goes: Goes) -> Verdict {
        let is_used = self.requests.is_some_and(|count| count > 0) || !self.users.is_empty();
        // What stays in another version is not lost.
        let is_alone = self.other_versions.is_empty() && self.api.collection().is_some();
        let is_stranded = is_alone && self.objects.is_some_and(|count| count > 0);
        let is_unknown = self.requests.is_none() || (is_alone && self.objects.is_none());
        match goes {
            Goes::ForGood if is_used || is_stranded => Verdict::No,
            Goes::ForGood if is_unknown => Verdict::Unknown,
            Goes::UnlessKept if is_used => Verdict::Warning,
            Goes::ForGood | Goes::UnlessKept => Verdict::Yes,
        }
    }
}

#[cfg(test)]
mod tests;
