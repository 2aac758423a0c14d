//! The verbs by which clients use a type, as discovery lists them.
//!
//! Peers can serve one type with different verbs. Then a request goes to those
//! that have its verb, because the others answer 405.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A verb of Kubernetes' API (Kubernetes documentation, "API verbs"). Others, such
/// as `impersonate`, are in no request's path or method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection or an object.
    Watch,
    /// Make an object.
    Create,
    /// Replace an object.
    Update,
    /// Change a part of an object, or apply it.
    Patch,
    /// Remove an object.
    Delete,
    /// Remove a collection.
    DeleteCollection,
}

impl Verb {
    /// Every verb, in their order.
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
    ];

    /// Returns the verb as discovery and RBAC spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Returns the verb of this spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Verb;

    #[test]
    fn every_verb_is_spelled_in_one_way() {
        for verb in Verb::ALL {
            assert_eq!(Verb::from_name(verb.as_str()), Some(verb));
            assert_eq!(serde_json::to_value(verb).unwrap(), verb.as_str());
        }
        assert_eq!(Verb::from_name("impersonate"), None);
        assert_eq!(Verb::from_name("Get"), None);
    }
}
