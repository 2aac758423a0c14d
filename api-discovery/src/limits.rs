//! What a peer's discovery may have at most, so that no peer makes its readers take any amount of
//! memory: a few bytes of JSON become hundreds in memory. The limits are checked while a document is
//! parsed.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// More groups, and in the older form more group-versions, than any control plane has.
pub(crate) const MAX_GROUPS: usize = 20_000;

/// More versions than any group, and more subresources than any resource, has.
pub(crate) const MAX_INNER: usize = 256;

/// More versions, resources and subresources, all together, than any control plane has.
pub(crate) const MAX_TYPES: usize = 100_000;

/// More documents of OpenAPI v3 than any control plane has: one for each group-version and group.
pub(crate) const MAX_OPEN_API: usize = 2 * MAX_GROUPS;

/// The bytes of a name: no group, version, resource or subresource of Kubernetes has a longer one.
pub(crate) const MAX_NAME: usize = 253;

/// Discovery that exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_TYPES} versions, resources and subresources")]
pub struct TooManyTypes(());

/// Counts the versions, resources and subresources that a peer lists.
#[derive(Debug, Default)]
pub struct TypeCount(usize);

impl TypeCount {
    /// Adds `count` to what was counted.
    ///
    /// # Errors
    /// It is too many now.
    pub(crate) fn add(&mut self, count: usize) -> Result<(), TooManyTypes> {
        self.0 = self.0.saturating_add(count);
        if self.0 > MAX_TYPES { Err(TooManyTypes(())) } else { Ok(()) }
    }
}

/// A name of at most [`MAX_NAME`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name(pub Box<str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::<_, MAX_NAME>(deserializer).map(|name| Self(name.into()))
    }
}

/// Reads a string of at most `MAX` bytes.
pub(crate) fn text<'de, D: Deserializer<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<String, D::Error> {
    struct Visit<const MAX: usize>;

    impl<const MAX: usize> Visitor<'_> for Visit<MAX> {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
            if name.len() > MAX { Err(exceeded(MAX, "bytes in a name")) } else { Ok(name.into()) }
        }
    }

    deserializer.deserialize_str(Visit::<MAX>)
}

/// Reads a list of at most `MAX` items; `null` is an empty one.
pub(crate) fn items<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Visit<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Visit<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Vec<T>, A::Error> {
            at_most(MAX, "items in a list", || access.next_element())
        }
    }

    deserializer.deserialize_any(Visit::<T, MAX>(PhantomData))
}

/// Reads an object of at most `MAX` fields.
pub(crate) fn fields<'de, D, T, const MAX: usize>(
    deserializer: D,
) -> Result<Vec<(Box<str>, T)>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Visit<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Visit<T, MAX> {
        type Value = Vec<(Box<str>, T)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            at_most(MAX, "fields in an object", || access.next_entry())
        }
    }

    deserializer.deserialize_map(Visit::<T, MAX>(PhantomData))
}

/// Collects what `next` returns. Fails if there is more than `limit` of it.
fn at_most<T, E: Error>(
    limit: usize,
    what: &str,
    mut next: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Vec<T>, E> {
    let mut all = Vec::new();
    while let Some(one) = next()? {
        if all.len() == limit {
            return Err(exceeded(limit, what));
        }
        all.push(one);
    }
    Ok(all)
}

/// Returns the error for more than `limit` of `what`.
pub(crate) fn exceeded<E: Error>(limit: usize, what: impl Display) -> E {
    E::custom(format_args!("more than {limit} {what}"))
}
