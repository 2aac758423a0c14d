//! Is anything stored that the next version drops, or half migrated?

use serde_json::Value;

use super::{Check, Finding, Verdict};
use crate::control_plane::{Count, Objects};

/// What turns a type on that is off by default.
pub const FLAG: &str = "--runtime-config or --feature-gates turn it on";

/// Why a type that a server is known to serve was not found.
pub const WRONG_SERVER: &str =
    "cannot be listed: the kubeconfig's server does not serve it; use a kubeconfig for Envoy";

/// A type that is missing where the control plane goes.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As people read it.
    pub name: String,
    /// Whether a flag turns it on there.
    pub is_optional: bool,
    /// Whether the resource is served there in another version.
    pub has_successor: bool,
    pub count: Count,
}

/// Checks types that are missing `at` the newer version, if one is compared, migrations and custom resource definitions.
pub fn check(
    at: Option<&str>,
    dropped: &[Stored],
    migrations: &Objects,
    definitions: &Objects,
) -> Vec<Finding> {
    let mut findings: Vec<_> =
        dropped.iter().filter_map(|one| of_dropped(at.unwrap_or_default(), one)).collect();
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
        let reason = match at {
            Some(at) => format!("all stored types are served by {at}"),
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
    let finding =
        |verdict, reason: String| Finding::new(Check::Storage, verdict, &one.name, reason);
    let count = match &one.count {
        Count::Some(0) | Count::NotListable => return None,
        Count::Some(count) => *count,
        Count::NotServed => return Some(finding(Verdict::Unknown, WRONG_SERVER.to_owned())),
        Count::Failed(error) => return Some(unknown(&one.name, error)),
    };
    let objects = objects(count);
    let (verdict, reason) = if one.has_successor {
        let reason = format!(
            "is served by {at} in another version only: store its {objects} in that one (StorageVersionMigration)"
        );
        (Verdict::Warning, reason)
    } else if one.is_optional {
        (Verdict::Warning, format!("is not served by {at} unless {FLAG}, with {objects} stored"))
    } else {
        (Verdict::No, format!("is not served by {at}, with {objects} stored"))
    };
    let types = vec![one.name.clone()];
    Some(Finding { types, objects: Some(count), ..finding(verdict, reason) })
}

/// Returns a number of objects, in words.
pub fn objects(count: u64) -> String {
    if count == 1 { "1 object".to_owned() } else { format!("{count} objects") }
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
