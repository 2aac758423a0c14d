//! What documents describe, by names, and what each adds to those before it.
//!
//! A document is merged only for the sake of a path, or of an operation of a path. A schema that no
//! path leads to is one that no client looks for: between two versions of Kubernetes there are a
//! few in every document, such as those of a field that is gone. But a document that adds a path
//! adds all of its schemas, so that every reference has its target.

use std::collections::{BTreeMap, BTreeSet};

/// The operations of a path, in the order of the fields of gnostic's `openapi.v3.PathItem`.
pub(super) const OPERATIONS: [&str; 8] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// The names of operations that a path has; sorted.
pub(super) type Operations = BTreeSet<&'static str>;

/// What a document describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    pub(super) paths: BTreeMap<Box<str>, Operations>,
    pub(super) schemas: BTreeSet<Box<str>>,
}

/// What each of several documents adds to those before it. The first adds nothing: it is the one
/// to which the others are added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions(Vec<Addition>);

/// What one document adds to those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addition {
    /// Whole paths.
    pub(super) paths: BTreeSet<Box<str>>,
    /// Operations of paths that another document has without them.
    pub(super) operations: BTreeMap<Box<str>, Operations>,
    pub(super) schemas: BTreeSet<Box<str>>,
}

impl Additions {
    /// Compares documents, which are in the order of their peers' rank.
    #[must_use]
    pub fn new(outlines: &[Outline]) -> Self {
        let mut known = Outline::default();
        let additions = outlines.iter().enumerate().map(|(position, outline)| {
            let addition = known.take_in(outline);
            if position == 0 { Addition::default() } else { addition }
        });
        Self(additions.collect())
    }

    /// Returns whether the first document has every path and operation that the others have.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|addition| addition.paths.is_empty() && addition.operations.is_empty())
    }

    /// Returns each document but the first, with what it adds.
    pub(super) fn of<'a, D>(
        &'a self,
        documents: &'a [D],
    ) -> impl Iterator<Item = (&'a D, &'a Addition)> {
        documents.iter().zip(&self.0).skip(1)
    }
}

impl Outline {
    /// Adds what `other` has, and returns what of it is new.
    fn take_in(&mut self, other: &Self) -> Addition {
        let mut addition = Addition::default();
        for (path, operations) in &other.paths {
            let Some(known) = self.paths.get_mut(path) else {
                self.paths.insert(path.clone(), operations.clone());
                addition.paths.insert(path.clone());
                continue;
            };
            let new: Operations = operations.difference(known).copied().collect();
            if !new.is_empty() {
                known.extend(&new);
                addition.operations.insert(path.clone(), new);
            }
        }
        for name in &other.schemas {
            if self.schemas.insert(name.clone()) {
                addition.schemas.insert(name.clone());
            }
        }
        addition
    }
}
