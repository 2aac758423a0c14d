//! How much of what servers sent the filter of a control plane may keep.
//!
//! Every control plane may keep as much as one needs alone, unless all of a VM together keep too
//! much. Then each has a small part of its own, which no other one can take away.

use std::cell::Cell;
use std::rc::Rc;

/// The most bytes that a control plane may keep of a kind (bodies, extended documents) in a
/// worker. The aggregated document of 10,000 custom resources has about 4 MiB.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// From how many bytes of all control planes on each may keep [`OWN_BYTES`] only. The memory of a
/// VM ends at 4 GiB.
pub(crate) const MANY_BYTES: usize = 256 << 20;

/// The bytes that each control plane can always keep.
pub(crate) const OWN_BYTES: usize = 1 << 20;

/// What one control plane keeps of one kind.
#[derive(Debug, Default)]
pub(crate) struct Allotment {
    used: Cell<usize>,
    of_all: Rc<Cell<usize>>,
}

impl Allotment {
    /// Nothing yet, of what all of a VM keep.
    pub(crate) fn of(all: &Rc<Cell<usize>>) -> Self {
        Self { used: Cell::new(0), of_all: Rc::clone(all) }
    }

    /// Takes note of how many bytes are kept by now.
    pub(crate) fn set(&self, used: usize) {
        let others = self.of_all.get().saturating_sub(self.used.replace(used));
        self.of_all.set(others.saturating_add(used));
    }

    /// Returns whether that is too much.
    pub(crate) fn is_exceeded(&self) -> bool {
        let limit = if self.of_all.get() > MANY_BYTES { OWN_BYTES } else { MAX_BODY_BYTES };
        self.used.get() > limit
    }
}

impl Drop for Allotment {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_plane_keeps_its_own_part_whatever_others_keep() {
        let all = Rc::new(Cell::new(0));
        let greedy: Vec<_> = (0..20).map(|_| Allotment::of(&all)).collect();
        greedy.iter().for_each(|one| one.set(MAX_BODY_BYTES));
        assert!(greedy.iter().all(Allotment::is_exceeded));
        let modest = Allotment::of(&all);
        modest.set(OWN_BYTES);
        assert!(!modest.is_exceeded());
        modest.set(OWN_BYTES + 1);
        assert!(modest.is_exceeded());
        drop(greedy);
        assert_eq!(all.get(), OWN_BYTES + 1);
        modest.set(MAX_BODY_BYTES);
        assert!(!modest.is_exceeded());
        modest.set(MAX_BODY_BYTES + 1);
        assert!(modest.is_exceeded());
    }
}
