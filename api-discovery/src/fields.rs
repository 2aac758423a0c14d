//! JSON, parsed one level deep: each field keeps its text and its place.

use std::borrow::{Borrow, Cow};
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// More fields than any object of discovery has. Fields beyond these are not
/// checked for duplicates.
const MANY_FIELDS: usize = 64;

/// The fields of an object, in their order.
#[derive(Debug, Default)]
pub(crate) struct Fields<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> Fields<'t> {
    pub(crate) fn parse(json: &'t str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    /// Returns the fields, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'t RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'t RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// Returns the objects of the list `list` that have a name in `key`. If a name
    /// comes twice, the first object counts.
    pub(crate) fn named(&self, list: &str, key: &str) -> Vec<(Cow<'t, str>, &'t RawValue)> {
        let list = self.get(list).map(items).unwrap_or_default();
        let mut named = Vec::<(Cow<'t, str>, _)>::with_capacity(list.len());
        let mut seen = std::collections::HashSet::with_capacity(list.len());
        for item in list {
            let Some(name) = Self::parse(item.get()).ok().and_then(|f| f.get(key).and_then(text))
            else {
                continue;
            };
            if seen.insert(name.clone()) {
                named.push((name, item));
            }
        }
        named
    }

    /// Returns the object with other values; names that it does not have come last.
    pub(crate) fn with(&self, replaced: &[(&str, &str)]) -> String {
        let new = |name: &str| replaced.iter().find(|(other, _)| *other == name);
        let own = self.0.iter().map(|(name, old)| {
            let value = new(name).map_or(old.get(), |(_, new)| new);
            (&**name, value)
        });
        let added = replaced.iter().copied().filter(|(name, _)| self.get(name).is_none());
        let fields = own.chain(added).map(|(name, value)| format!("{}:{value}", quoted(name)));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }
}

/// Returns the items of a list; none if the value is not a list.
pub(crate) fn items(list: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(list.get()).unwrap_or_default()
}

/// Returns a list of JSON values.
pub(crate) fn list(values: impl IntoIterator<Item = impl Borrow<str>>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(","))
}

#[derive(Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

/// Returns the value of a JSON string.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

/// Returns a text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::<(Cow<'de, str>, &'de RawValue)>::new();
                while let Some((Text(name), value)) = access.next_entry::<Text<'de>, _>()? {
                    // If a field comes twice, the first counts.
                    if fields.len() >= MANY_FIELDS || fields.iter().all(|(other, _)| *other != name)
                    {
                        fields.push((name, value));
                    }
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}
