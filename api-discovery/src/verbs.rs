//! The verbs with which a peer serves a type.

use std::fmt;

use discovery_map::Verb;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A set of verbs: a bit for each, in the order of [`Verb::ALL`]. The empty set means that
/// they are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verbs(u8);

impl Verbs {
    /// Returns whether `verb` is among them.
    #[must_use]
    pub fn has(self, verb: Verb) -> bool {
        self.0 & bit(verb) != 0
    }

    /// Returns whether it is not known which ones they are.
    #[must_use]
    pub fn is_unknown(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Verb> for Verbs {
    fn from_iter<I: IntoIterator<Item = Verb>>(verbs: I) -> Self {
        Self(verbs.into_iter().fold(0, |bits, verb| bits | bit(verb)))
    }
}

fn bit(verb: Verb) -> u8 {
    let position = Verb::ALL.iter().position(|other| *other == verb);
    let position = position.and_then(|position| u32::try_from(position).ok());
    position.and_then(|position| 1_u8.checked_shl(position)).unwrap_or(0)
}

/// The verbs of a type in a discovery document: names, `null`, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VerbList {
    /// Those of them that requests can have.
    pub verbs: Verbs,
    /// Whether the list has any name.
    pub is_given: bool,
}

impl VerbList {
    /// Returns the verbs of a list in JSON; none if it is not a list of names.
    pub(crate) fn of_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }
}

/// The name of a verb; `None` if no request can have it.
struct Name(Option<Verb>);

impl<'de> Deserialize<'de> for VerbList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = VerbList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of verbs")
            }

            fn visit_unit<E: Error>(self) -> Result<VerbList, E> {
                Ok(VerbList::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<VerbList, A::Error> {
                let mut list = VerbList::default();
                while let Some(Name(verb)) = names.next_element()? {
                    list.is_given = true;
                    list.verbs.0 |= verb.map_or(0, bit);
                }
                Ok(list)
            }
        }

        deserializer.deserialize_any(Visit)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl Visitor<'_> for Visit {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a verb")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Verb::from_name(name)))
            }
        }

        deserializer.deserialize_str(Visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_verbs_that_it_names() {
        let list: VerbList = serde_json::from_str(r#"["get","patch","impersonate"]"#).unwrap();
        assert_eq!(list.verbs, [Verb::Patch, Verb::Get].into_iter().collect());
        assert!(list.verbs.has(Verb::Get) && !list.verbs.has(Verb::Delete));
        let all: Verbs = Verb::ALL.into_iter().collect();
        assert!(Verb::ALL.iter().all(|verb| all.has(*verb)));
    }

    #[test]
    fn verbs_are_unknown_if_a_list_has_no_verb_of_requests() {
        for (list, is_given) in [("null", false), ("[]", false), (r#"["impersonate"]"#, true)] {
            let list: VerbList = serde_json::from_str(list).unwrap();
            assert_eq!(list, VerbList { verbs: Verbs::default(), is_given });
            assert!(list.verbs.is_unknown());
        }
    }
}
