//! The two forms in which kube-apiservers describe a resource: that of aggregated
//! discovery, and the older one with subresources as entries of their own.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::limits::{MAX_NAME, MAX_TYPES, items, text};

/// The bytes of a subresource's name with that of its resource.
const MAX_LEGACY_NAME: usize = 2 * MAX_NAME + 1;

/// An entry of an `APIResourceList`: a resource, or with a `/` in its name a
/// subresource. In the order of Kubernetes' `APIResource`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LegacyResource {
    #[serde(deserialize_with = "text::<_, MAX_LEGACY_NAME>")]
    pub name: String,
    #[serde(default)]
    pub singular_name: String,
    #[serde(default)]
    pub namespaced: bool,
    /// Empty if it is the group of the list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Empty if it is the version of the list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub verbs: Option<Strings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_names: Option<Strings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Strings>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub storage_version_hash: String,
}

/// A version in aggregated discovery.
#[derive(Deserialize)]
pub(crate) struct Version {
    #[serde(default, deserialize_with = "items::<_, _, MAX_TYPES>")]
    pub resources: Vec<Resource>,
}

/// A resource in aggregated discovery.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_kind: Option<Kind>,
    #[serde(default)]
    pub scope: String,
    #[serde(default)]
    pub singular_resource: String,
    /// `null` or empty if only the subresources are served.
    #[serde(default)]
    pub verbs: Option<Strings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_names: Option<Strings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Strings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresources: Option<Vec<Subresource>>,
}

/// A subresource in aggregated discovery.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subresource {
    pub subresource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_kind: Option<Kind>,
    #[serde(default)]
    pub verbs: Option<Strings>,
}

/// The kind of the objects that a resource or subresource takes and returns.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Kind {
    #[serde(default)]
    pub group: String,
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub kind: String,
}

/// A list of strings, kept as its JSON: a string of one byte takes four there, and 40 on its own.
#[derive(Debug, Default)]
pub(crate) struct Strings(Option<Box<RawValue>>);

impl Strings {
    /// Returns the list as JSON.
    pub(crate) fn json(&self) -> &str {
        self.0.as_deref().map_or("[]", RawValue::get)
    }

    /// Returns whether the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        serde_json::from_str::<Count>(self.json()).is_ok_and(|Count(count)| count == 0)
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let Count(_) = serde_json::from_str(json.get()).map_err(D::Error::custom)?;
        Ok(Self(Some(json)))
    }
}

impl Serialize for Strings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(json) => json.serialize(serializer),
            None => serializer.collect_seq([(); 0]),
        }
    }
}

/// How many strings a list has.
struct Count(usize);

/// A string that is not kept.
struct Skipped;

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut strings: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while let Some(Skipped) = strings.next_element()? {
                    count += 1;
                }
                Ok(Count(count))
            }
        }

        deserializer.deserialize_seq(Visit)
    }
}

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Skipped;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Skipped, E> {
                Ok(Skipped)
            }
        }

        deserializer.deserialize_str(Visit)
    }
}
