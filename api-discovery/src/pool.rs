//! Shares equal answers of peers in memory, across control planes: API servers of one version give
//! mostly equal answers.
//!
//! A pool keeps nothing alive, and a look-up needs the content itself, so nobody learns from it what
//! others say.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::belief::Belief;
use crate::listing::GroupNames;
use crate::openapi::OpenApiIndex;

/// What many peers say. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Pool(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    names: Interned<GroupNames>,
    texts: Interned<str>,
    open_api: Interned<OpenApiIndex>,
}

impl Pool {
    /// Replaces the parts of a belief by equal ones that another one has.
    pub fn share(&self, belief: &mut Belief) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { names, texts, open_api } = &mut *known;
        for listing in [&mut belief.core, &mut belief.named].into_iter().flatten() {
            for group in Arc::make_mut(listing).groups_mut() {
                group.names = names.intern(&group.names);
                group.text = group.text.as_ref().map(|text| texts.intern(text));
            }
        }
        belief.open_api = belief.open_api.as_ref().map(|index| open_api.intern(index));
    }
}

/// Values by their hashes. Of two with the same hash, one is not shared.
#[derive(Debug)]
struct Interned<T: ?Sized> {
    hasher: RandomState,
    values: HashMap<u64, Weak<T>>,
    /// How many there are when those that nobody has any more are removed.
    full: usize,
}

impl<T: ?Sized> Default for Interned<T> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), values: HashMap::new(), full: 1024 }
    }
}

impl<T: Hash + Eq + ?Sized> Interned<T> {
    fn intern(&mut self, value: &Arc<T>) -> Arc<T> {
        let hash = self.hasher.hash_one(value);
        if let Some(known) = self.values.get(&hash).and_then(Weak::upgrade) {
            return if known == *value { known } else { Arc::clone(value) };
        }
        if self.values.len() >= self.full {
            self.values.retain(|_, value| value.strong_count() > 0);
            self.full = 1024.max(self.values.len() * 2);
        }
        self.values.insert(hash, Arc::downgrade(value));
        Arc::clone(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_nothing_is_kept_alive() {
        let mut interned = Interned::<str>::default();
        let (one, other) = (Arc::from("a text"), Arc::from("a text"));
        assert!(Arc::ptr_eq(&interned.intern(&one), &one));
        assert!(Arc::ptr_eq(&interned.intern(&other), &one));
        drop(one);
        assert!(Arc::ptr_eq(&interned.intern(&other), &other), "nobody has the first one");
        for number in 0..10_000 {
            interned.intern(&Arc::from(number.to_string()));
        }
        assert!(interned.values.len() <= 1024, "{}", interned.values.len());
    }
}
