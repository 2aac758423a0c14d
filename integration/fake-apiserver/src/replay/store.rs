//! Objects in memory. Several servers share one store, as API servers share
//! etcd: each serves the objects of the types that it knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tokio::sync::watch;

/// Where an object is. The version of the API is not part of it: all versions
/// show the same object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The API group, empty for the core's.
    pub group: String,
    /// The resource, such as `configmaps`.
    pub resource: String,
    /// The namespace, empty in the cluster's scope.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    /// Returns the name that watches show.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// A change, and the object as it was then.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) revision: u64,
    pub(super) change: Change,
    pub(super) key: Key,
    pub(super) object: Value,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    objects: BTreeMap<Key, Value>,
    /// All events so far; tests are short.
    events: Vec<Event>,
}

/// The store; clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct Store {
    inner: Arc<Mutex<Inner>>,
    revision: watch::Sender<u64>,
}

impl Store {
    /// Returns the object at `key`.
    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.lock().objects.get(key).cloned()
    }

    /// Returns all objects of a resource, and the store's revision.
    pub(super) fn list(
        &self,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
    ) -> (u64, Vec<(Key, Value)>) {
        let inner = self.lock();
        let wanted = |key: &Key| {
            key.group == group
                && key.resource == resource
                && namespace.is_none_or(|namespace| key.namespace == namespace)
        };
        let objects = inner.objects.iter().filter(|(key, _)| wanted(key));
        (inner.revision, objects.map(|(key, object)| (key.clone(), object.clone())).collect())
    }

    /// Creates an object; `None` if it already exists.
    pub(super) fn create(&self, key: &Key, mut object: Value) -> Option<Value> {
        let mut inner = self.lock();
        if inner.objects.contains_key(key) {
            return None;
        }
        let metadata = metadata_of(&mut object);
        metadata.insert("name".to_owned(), json!(key.name));
        if !key.namespace.is_empty() {
            metadata.insert("namespace".to_owned(), json!(key.namespace));
        }
        let uid = format!("00000000-0000-4000-8000-{:012x}", inner.revision + 1);
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(now()));
        Some(self.apply(&mut inner, Change::Added, key, object))
    }

    /// Replaces an object with the result of `change`; `None` if it does not
    /// exist.
    pub(super) fn update(&self, key: &Key, change: impl FnOnce(Value) -> Value) -> Option<Value> {
        let mut inner = self.lock();
        let old = inner.objects.get(key)?.clone();
        let identity: Vec<_> = ["name", "namespace", "uid", "creationTimestamp"]
            .into_iter()
            .filter_map(|field| {
                Some((field.to_owned(), old.pointer("/metadata")?.get(field)?.clone()))
            })
            .collect();
        let mut object = change(old);
        metadata_of(&mut object).extend(identity);
        Some(self.apply(&mut inner, Change::Modified, key, object))
    }

    /// Deletes an object; `None` if it does not exist.
    pub(super) fn delete(&self, key: &Key) -> Option<Value> {
        let mut inner = self.lock();
        let object = inner.objects.get(key)?.clone();
        Some(self.apply(&mut inner, Change::Deleted, key, object))
    }

    /// Returns the events after `revision`.
    pub(super) fn events_after(&self, revision: u64) -> Vec<Event> {
        let inner = self.lock();
        let first = inner.events.partition_point(|event| event.revision <= revision);
        inner.events.iter().skip(first).cloned().collect()
    }

    /// Returns a receiver that changes with each event.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn apply(&self, inner: &mut Inner, change: Change, key: &Key, mut object: Value) -> Value {
        inner.revision += 1;
        let revision = inner.revision;
        metadata_of(&mut object).insert("resourceVersion".to_owned(), json!(revision.to_string()));
        match change {
            Change::Deleted => inner.objects.remove(key),
            Change::Added | Change::Modified => inner.objects.insert(key.clone(), object.clone()),
        };
        inner.events.push(Event { revision, change, key: key.clone(), object: object.clone() });
        self.revision.send_replace(revision);
        object
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the object's metadata, which is made when it is missing.
fn metadata_of(object: &mut Value) -> &mut Map<String, Value> {
    fn map(value: &mut Value) -> &mut Map<String, Value> {
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(map) => map,
            _ => unreachable!("it was just made an object"),
        }
    }
    map(map(object).entry("metadata").or_insert(Value::Null))
}

/// Returns the time, as Kubernetes writes it.
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, Key, Store, now};

    fn key(name: &str) -> Key {
        let (group, resource) = (String::new(), "configmaps".to_owned());
        Key { group, resource, namespace: "default".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn a_second_object_of_the_same_name_is_refused() {
        let store = Store::default();
        assert!(store.create(&key("a"), json!({})).is_some());
        assert!(store.clone().create(&key("a"), json!({})).is_none());
    }

    #[test]
    fn events_come_in_order_with_growing_revisions() {
        let store = Store::default();
        store.create(&key("a"), json!({ "data": { "x": "1" } }));
        store.update(&key("a"), |_| json!({ "data": { "x": "2" } }));
        store.delete(&key("a"));
        let events = store.events_after(0);
        let changes: Vec<_> = events.iter().map(|event| event.change).collect();
        assert_eq!(changes, [Change::Added, Change::Modified, Change::Deleted]);
        assert_eq!(store.events_after(2).len(), 1);
    }

    #[test]
    fn an_update_keeps_the_identity_of_the_object() {
        let store = Store::default();
        let created = store.create(&key("a"), json!({})).unwrap();
        let updated = store.update(&key("a"), |_| json!({ "metadata": { "uid": "other" } }));
        assert_eq!(updated.unwrap()["metadata"]["uid"], created["metadata"]["uid"]);
    }

    #[test]
    fn the_time_has_the_format_of_kubernetes() {
        let now = now();
        assert!(now.len() == 20 && now.starts_with("20") && now.ends_with('Z'), "{now}");
    }
}
