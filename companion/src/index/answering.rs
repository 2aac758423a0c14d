//! The answering version: requests that every peer in rotation can answer go to the peers of this
//! version, as long as one of them can be reached.
//!
//! Pure: who is in rotation and the time that passed go in, the version comes out. What counts of
//! the past is in [`Answering`], and survives a restart.
//!
//! The rules, each of them a test:
//! - The policy chooses among the versions of the peers in rotation. A peer whose version is not
//!   known does not count. If no version is known, or no peer is ready, everything stays.
//! - A tie of `majority` goes to the version that answers; without one, to the oldest: what the
//!   oldest accepts, all others know, so nothing is stored that the others would drop.
//! - Another version answers once it has been the policy's choice for [`HOLD`] without a break; at
//!   once if no peer of the current version is in rotation, or if an operator changed the policy.
//! - The more switches there were, the longer is that time, up to [`MAX_HOLD`], until the policy has
//!   chosen one version for [`CALM`]. So an unstable peer does not make the
//!   answering version unstable.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use api_discovery::MinorVersion;
use serde::{Deserialize, Serialize};

use crate::config::AnsweringPolicy;

#[cfg(test)]
mod tests;

/// A server that restarts is usually back and out again within this time, if at all.
const HOLD: Duration = Duration::from_secs(5);

const MAX_HOLD: Duration = Duration::from_secs(5 * 60);

const CALM: Duration = Duration::from_secs(10 * 60);

/// The answering version, and what of the past decides when it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answering {
    /// The policy of the last decision. `None` before the first.
    policy: Option<AnsweringPolicy>,
    /// `None`: all versions answer.
    version: Option<MinorVersion>,
    /// Another version that the policy chooses, and for how long it has done so.
    challenger: Option<(MinorVersion, Duration)>,
    /// The number of switches without `CALM` between them.
    switches: u32,
    /// For how long the policy has chosen the version that answers.
    calm: Duration,
}

/// What must be remembered of it over a restart. The time of a challenger starts anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweringMemory {
    version: MinorVersion,
    #[serde(default)]
    switches: u32,
    #[serde(default)]
    calm_seconds: u64,
}

/// A change of the answering version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The version before. `None`: all versions answered.
    pub from: Option<MinorVersion>,
    /// The version from now on. `None`: all versions answer.
    pub to: Option<MinorVersion>,
    /// Why it changed.
    pub reason: SwitchReason,
}

/// Why the answering version changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchReason {
    /// There was none before.
    First,
    /// The operator changed the policy.
    Policy,
    /// The policy has chosen the other version for long enough.
    Held,
    /// No peer of the previous version is in rotation.
    NoneLeft,
}

/// How many peers in rotation have each version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Votes(BTreeMap<MinorVersion, usize>);

impl FromIterator<MinorVersion> for Votes {
    fn from_iter<I: IntoIterator<Item = MinorVersion>>(versions: I) -> Self {
        let mut votes = BTreeMap::new();
        versions.into_iter().for_each(|version| *votes.entry(version).or_default() += 1);
        Self(votes)
    }
}

impl Answering {
    /// Goes on from what an earlier run remembered.
    pub(super) fn restore(memory: Option<AnsweringMemory>) -> Self {
        let Some(memory) = memory else { return Self::default() };
        Self {
            version: Some(memory.version),
            switches: memory.switches,
            calm: Duration::from_secs(memory.calm_seconds),
            ..Self::default()
        }
    }

    pub(super) fn memory(&self) -> Option<AnsweringMemory> {
        let (switches, calm_seconds) = (self.switches, self.calm.as_secs());
        self.version.map(|version| AnsweringMemory { version, switches, calm_seconds })
    }

    /// Returns the version; `None` if all answer.
    pub(super) fn version(&self) -> Option<MinorVersion> {
        self.version
    }

    /// Decides anew, `passed` after the last decision.
    pub(super) fn decide(
        &mut self,
        policy: AnsweringPolicy,
        votes: &Votes,
        passed: Duration,
    ) -> Option<Switch> {
        let new_policy = self.policy.replace(policy).is_some_and(|before| before != policy);
        let choice = choose(policy, votes, self.version)?;
        if choice == self.version {
            self.stay(passed);
            return None;
        }
        self.calm = Duration::ZERO;
        let reason = match self.version {
            _ if new_policy || choice.is_none() => SwitchReason::Policy,
            None => SwitchReason::First,
            Some(current) if !votes.0.contains_key(&current) => SwitchReason::NoneLeft,
            Some(_) => {
                self.hold(choice?, passed)?;
                SwitchReason::Held
            }
        };
        Some(self.switch(choice, reason))
    }

    fn stay(&mut self, passed: Duration) {
        if self.challenger.take().is_none() {
            self.calm = self.calm.saturating_add(passed);
        }
        if self.calm >= CALM {
            self.switches = 0;
        }
    }

    /// Counts how long the policy has chosen this version. Returns it if that is long enough.
    fn hold(&mut self, choice: MinorVersion, passed: Duration) -> Option<MinorVersion> {
        let held = match self.challenger {
            Some((challenger, held)) if challenger == choice => held.saturating_add(passed),
            _ => Duration::ZERO,
        };
        self.challenger = Some((choice, held));
        // The first switch and the way back are free.
        let doublings = self.switches.saturating_sub(1).min(10);
        (held >= (HOLD * (1 << doublings)).min(MAX_HOLD)).then_some(choice)
    }

    fn switch(&mut self, to: Option<MinorVersion>, reason: SwitchReason) -> Switch {
        let from = std::mem::replace(&mut self.version, to);
        self.challenger = None;
        if matches!(reason, SwitchReason::Held | SwitchReason::NoneLeft) {
            self.switches = self.switches.saturating_add(1);
        } else {
            self.switches = 0;
        }
        Switch { from, to, reason }
    }

    /// Returns the place of a peer of this version among those that can answer a request: the
    /// smallest answers. After the answering version come the others, the newest first, as in merged
    /// documents.
    pub(super) fn place(&self, version: Option<MinorVersion>) -> impl Ord + Copy + use<> {
        match self.version {
            None => Reverse((false, None)),
            Some(answering) => Reverse((version == Some(answering), version)),
        }
    }

    /// Returns the same among those that can answer a component of the version `least`: before all
    /// others come the peers that serve at least this version. Of these, the answering version comes
    /// first, then the oldest, which is nearest to what everybody else sees.
    pub(super) fn place_for(
        &self,
        version: Option<MinorVersion>,
        least: MinorVersion,
    ) -> impl Ord + Copy + use<> {
        // No version is less than any version.
        let suffices = version >= Some(least);
        let (older, rest) = if suffices {
            let known = self.version.and(version);
            ((version != self.version && self.version.is_some(), known), None)
        } else {
            ((false, None), Some(self.place(version)))
        };
        (!suffices, older, rest)
    }
}

/// Returns the version that the policy chooses; `Some(None)` if all versions answer. Returns `None`
/// if no version is known.
fn choose(
    policy: AnsweringPolicy,
    Votes(votes): &Votes,
    current: Option<MinorVersion>,
) -> Option<Option<MinorVersion>> {
    let rank = |(version, count): &(&MinorVersion, &usize)| {
        (**count, Some(**version) == current, Reverse(**version))
    };
    let chosen = match policy {
        AnsweringPolicy::Majority => votes.iter().max_by_key(rank),
        AnsweringPolicy::Newest => votes.last_key_value(),
        AnsweringPolicy::Oldest => votes.first_key_value(),
        AnsweringPolicy::Any => return Some(None),
    };
    chosen.map(|(version, _)| Some(*version))
}

impl SwitchReason {
    /// Returns the reason in words, for the log.
    pub fn text(self) -> &'static str {
        match self {
            Self::First => "first decision",
            Self::Policy => "the policy in the configuration changed",
            Self::Held => "the policy has chosen it for long enough",
            Self::NoneLeft => "no peer of the previous version is in rotation",
        }
    }
}
