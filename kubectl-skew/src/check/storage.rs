//! Is anything stored that the next version drops, or half migrated?

use serde_json::Value;

use super::stored::{FLAG, Stored};
use super::{Check, Finding, Verdict};
use crate::control_plane::Objects;

/// The types that are missing at the newer version.
#[derive(Clone, Copy, Debug)]
pub struct Dropped<'a> {
    /// The version, or its servers.
    pub at: &'a str,
    pub types: &'a [Stored],
}

/// Checks dropped types, if versions are compared, migrations and custom resource definitions.
pub fn check(
    dropped: Option<Dropped<'_>>,
    migrations: &Objects,
    definitions: &Objects,
) -> Vec<Finding> {
    let of_dropped = |Dropped { at, types }: Dropped<'_>| {
        types.iter().filter_map(|one| of_dropped(at, one)).collect()
    };
    let mut findings: Vec<_> = dropped.map(of_dropped).unwrap_or_default();
    match migrations {
        Objects::Listed(items) => findings.extend(items.iter().filter_map(of_migration)),
        // Most control planes do not have them.
        Objects::NotServed => {}
        Objects::Failed(error) => findings.push(unknown("StorageVersionMigration", error)),
    }
    match definitions {
        Objects::Listed(items) => findings.extend(items.iter().filter_map(of_definition)),
        Objects::NotServed => findings.push(unknown("CustomResourceDefinition", "not served")),
        Objects::Failed(error) => findings.push(unknown("CustomResourceDefinition", error)),
    }
    if findings.is_empty() {
        let reason = match dropped {
            Some(Dropped { at, .. }) => format!("all stored types are served by {at}"),
            None => "no migration is pending".to_owned(),
        };
        findings.push(Finding::new(Check::Storage, Verdict::Yes, "", reason));
    }
    findings
}

fn unknown(what: &str, error: &str) -> Finding {
    Finding::new(Check::Storage, Verdict::Unknown, what, format!("cannot be listed: {error}"))
}

fn of_dropped(at: &str, one: &Stored) -> Option<Finding> {
    one.finding(Check::Storage, |objects, _| {
        if one.has_successor {
            let reason = format!(
                "is served by {at} in another version only: store its {objects} in that one (StorageVersionMigration)"
            );
            return (Verdict::Warning, reason);
        }
        if one.is_optional {
            let reason = format!("is not served by {at} unless {FLAG}, with {objects} stored");
            return (Verdict::Warning, reason);
        }
        (Verdict::No, format!("is not served by {at}, with {objects} stored"))
    })
}

/// A migration that has not succeeded
/// (`k8s.io/api/storagemigration`, `StorageVersionMigrationStatus.Conditions`).
fn of_migration(object: &Value) -> Option<Finding> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let is = |name: &str| {
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|one| one["type"] == name && one["status"] == "True")
    };
    let state = match () {
        () if is("Succeeded") => return None,
        () if is("Failed") => "has failed",
        () => "has not ended",
    };
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let resource = object.pointer("/spec/resource/resource").and_then(Value::as_str);
    let resource = resource.unwrap_or("its resource");
    let reason = format!("the migration of {resource} {state}");
    Some(Finding::new(
        Check::Storage,
        Verdict::No,
        &format!("StorageVersionMigration {name}"),
        reason,
    ))
}

/// A definition whose objects may be stored in several versions.
fn of_definition(object: &Value) -> Option<Finding> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str)?;
    let versions = object.pointer("/spec/versions").and_then(Value::as_array)?;
    let stored = object.pointer("/status/storedVersions").and_then(Value::as_array)?;
    let stored: Vec<_> = stored.iter().filter_map(Value::as_str).collect();
    let current = versions.iter().find(|version| version["storage"] == true);
    let current = current.and_then(|version| version["name"].as_str())?;
    let old: Vec<_> = stored.into_iter().filter(|version| *version != current).collect();
    let is_served = |name: &&str| {
        versions.iter().any(|version| version["name"] == **name && version["served"] == true)
    };
    let reason = |what: String| {
        format!(
            "objects may be stored as {what}: store them as {current}, then remove the rest from status.storedVersions"
        )
    };
    let (verdict, what) = match old.iter().find(|version| !is_served(version)) {
        Some(gone) => (Verdict::No, format!("{gone}, which is not served")),
        None if old.is_empty() => return None,
        None => (Verdict::Warning, old.join(", ")),
    };
    let subject = format!("CustomResourceDefinition {name}");
    Some(Finding::new(Check::Storage, verdict, &subject, reason(what)))
}
