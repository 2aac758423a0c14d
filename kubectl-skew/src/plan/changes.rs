//! What a version adds and removes, of what these servers serve. Pure.

use super::rollout::{Rollout, When};
use crate::builtin::{ApiType, Availability, Release};
use crate::types::Row;

/// A type, and the servers that serve it today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub api: ApiType,
    /// The names of the servers that serve it, in rotation or not.
    pub by: Vec<String>,
}

/// What changes when all servers are upgraded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Types that the new version serves by default, with the servers that have them already.
    pub added: Vec<Served>,
    /// New types that are off by default.
    pub optional: Vec<ApiType>,
    /// Types that servers serve today and that the new version does not have.
    pub removed: Vec<Served>,
    /// Types that servers serve today and that the new version serves only if a flag turns them on.
    pub off: Vec<Served>,
}

/// Compares two versions. `rows` is what the servers serve.
pub fn of(rows: &[Row], rollout: &Rollout, from: Release<'_>, to: Release<'_>) -> Changes {
    let mut changes = Changes::default();
    let served_by = |api: &ApiType| {
        let row = rows.iter().find(|row| ApiType::from(*row) == *api);
        row.map(|row| row.served_by.clone()).unwrap_or_default()
    };
    for (api, availability) in to.types() {
        let by = served_by(api);
        // If a type is on at all of them, the upgrade does not change it.
        let is_new = !rollout.pending.iter().all(|name| by.contains(name));
        match (from.of(api), availability) {
            (Availability::Off | Availability::Absent, Availability::On) if is_new => {
                changes.added.push(Served { api: api.clone(), by });
            }
            (Availability::Absent, Availability::Off) if by.is_empty() => {
                changes.optional.push(api.clone());
            }
            _ => {}
        }
    }
    for row in rows {
        let served = Served { api: row.into(), by: row.served_by.clone() };
        // Custom resources and aggregated APIs stay, and so does what only upgraded servers have.
        if !from.has_before(&to, &served.api) || rollout.none_serves(&served.by) == When::Now {
            continue;
        }
        match to.of(&served.api) {
            Availability::On => {}
            Availability::Off => changes.off.push(served),
            Availability::Absent => changes.removed.push(served),
        }
    }
    changes.removed.sort_by(|a, b| a.api.cmp(&b.api));
    changes.off.sort_by(|a, b| a.api.cmp(&b.api));
    changes
}

#[cfg(test)]
pub mod tests {
    use super::{Changes, Served, of};
    use crate::builtin::tests::table;
    use crate::plan::rollout::{Rollout, tests::peers};
    use crate::types::Row;

    /// Returns a row of the map.
    pub fn row(group: &str, version: &str, resource: &str, served_by: &[&str]) -> Row {
        Row {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            verb: None,
            namespaced: true,
            skewed: false,
            served_by: served_by.iter().map(|name| (*name).to_owned()).collect(),
            cluster: Some("kube-apiserver".to_owned()),
        }
    }

    fn changes(rows: &[Row], servers: &[(&str, &str)]) -> Changes {
        let (table, to) = (table(), "1.37".parse().unwrap());
        let rollout = Rollout::new(&peers(servers), to, &[]).unwrap();
        of(rows, &rollout, table.release(rollout.from).unwrap(), table.release(to).unwrap())
    }

    fn names(types: &[Served]) -> Vec<String> {
        types.iter().map(|served| served.api.to_string()).collect()
    }

    const OLD: [(&str, &str); 2] = [("a", "1.36"), ("b", "1.36")];

    #[test]
    fn what_is_on_by_default_in_the_new_version_only_is_added() {
        let found = changes(&[row("", "v1", "pods", &["a", "b"])], &OLD);
        assert_eq!(names(&found.added), ["a.io/v1 bundles", "a.io/v1 bundles/status"]);
        let optional: Vec<_> = found.optional.iter().map(ToString::to_string).collect();
        assert_eq!(optional, ["a.io/v1alpha1 hats"]);
        assert_eq!((found.removed, found.off), (vec![], vec![]));
    }

    #[test]
    fn only_what_is_served_today_can_go() {
        let rows = [
            row("a.io", "v1alpha1", "wands", &["a", "b"]),
            row("a.io", "v1alpha1", "bundles", &["b"]),
            row("b.io", "v1beta1", "addresses", &["a"]),
            row("b.io", "v1beta2", "addresses", &["a", "b"]),
        ];
        let found = changes(&rows, &OLD);
        assert_eq!(names(&found.removed), ["a.io/v1alpha1 bundles", "a.io/v1alpha1 wands"]);
        assert_eq!(found.removed[0].by, ["b"]);
        assert_eq!(names(&found.off), ["b.io/v1beta1 addresses", "b.io/v1beta2 addresses"]);
    }

    #[test]
    fn custom_resources_stay_and_so_does_what_only_upgraded_servers_have() {
        let rows = [
            row("example.com", "v1", "widgets", &["a", "b"]),
            row("a.io", "v1alpha1", "wands", &["b"]),
        ];
        let found = changes(&rows, &[("a", "1.36"), ("b", "1.37")]);
        assert_eq!(found.removed, []);
    }

    #[test]
    fn a_type_that_every_older_server_serves_already_is_not_new() {
        let found = changes(&[row("a.io", "v1", "bundles", &["a", "b"])], &OLD);
        assert_eq!(names(&found.added), ["a.io/v1 bundles/status"]);
        let found = changes(&[row("a.io", "v1", "bundles", &["b"])], &OLD);
        assert_eq!(found.added[0].by, ["b"]);
    }
}
