//! Kubernetes' version skew policy, kept by routing: no component is answered by a server that is older
//! than itself (ADR 0032).
//!
//! ```text
//!  destination of the target ─┐
//!  component and version ─────┼─▶ keep ─┬─▶ the same destination: every server there will do
//!  DiscoveryMap::at_least ────┘         ├─▶ those of its servers that will do, and `Kept`
//!                                       └─▶ the same destination, and why none will do
//! ```
//!
//! The version is a claim. It chooses among the servers of the target, and nothing else.

use discovery_map::{Destination, DiscoveryMap};

use crate::component::ComponentVersion;
use crate::target::Target;

/// What the policy made of a component's request; a closed set, for it labels a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkewOutcome {
    /// It goes to servers that are at least as new as the component, instead of to all that serve the target.
    Kept,
    /// It goes where it would go without the policy: servers in rotation are new enough, but none of
    /// them serves the target.
    NoneServes,
    /// It goes where it would go without the policy: every server in rotation is older.
    NoneInRotation,
}

/// A component's request for which the policy mattered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// The component, as its `User-Agent` says.
    pub component: ComponentVersion,
    /// What the policy made of its request.
    pub outcome: SkewOutcome,
}

impl SkewOutcome {
    /// Every outcome, in the order of their values.
    pub const ALL: [Self; 3] = [Self::Kept, Self::NoneServes, Self::NoneInRotation];

    /// Returns the label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::NoneServes => "none_serves",
            Self::NoneInRotation => "none_in_rotation",
        }
    }
}

/// Returns where a component's request goes, and what the policy made of it; `None` if it did not
/// matter.
pub(crate) fn keep<'m>(
    destination: Destination<'m>,
    target: &Target<'_>,
    component: ComponentVersion,
    map: &'m DiscoveryMap,
) -> (Destination<'m>, Option<Skew>) {
    let version = component.version;
    let skew = |outcome| Some(Skew { component, outcome });
    if destination == Destination::Unavailable {
        return (destination, None);
    }
    if let Some(kept) = map.at_least(destination, version) {
        return (kept, (kept != destination).then(|| skew(SkewOutcome::Kept)).flatten());
    }
    // Every server has these documents.
    let is_everywhere = matches!(target, Target::Discovery | Target::OpenApiV2);
    match map.at_least(Destination::Default, version) {
        Some(kept) if is_everywhere => (kept, skew(SkewOutcome::Kept)),
        Some(_) => (destination, skew(SkewOutcome::NoneServes)),
        None => (destination, skew(SkewOutcome::NoneInRotation)),
    }
}

#[cfg(test)]
mod tests;
