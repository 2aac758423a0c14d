//! The rules, each as a sentence, and what must hold of any history.

use proptest::prelude::*;

use super::*;
use AnsweringPolicy::{Any, Majority, Newest, Oldest};

const SECOND: Duration = Duration::from_secs(1);

fn v(minor: u16) -> MinorVersion {
    MinorVersion::new(1, minor)
}

fn votes(minors: &[u16]) -> Votes {
    minors.iter().copied().map(v).collect()
}

/// A history in words: who was in rotation, for how many seconds.
#[derive(Default)]
struct History {
    answering: Answering,
    switches: Vec<(u16, SwitchReason)>,
}

impl History {
    /// Tells the decision each second that these are in rotation.
    fn rotation(&mut self, policy: AnsweringPolicy, minors: &[u16], seconds: usize) -> &mut Self {
        for _ in 0..seconds {
            if let Some(switch) = self.answering.decide(policy, &votes(minors), SECOND) {
                let to = (30..40).find(|minor| switch.to == Some(v(*minor))).unwrap_or(0);
                self.switches.push((to, switch.reason));
            }
        }
        self
    }

    fn restart(&mut self) -> &mut Self {
        let json = serde_json::to_string(&self.answering.memory()).unwrap();
        self.answering = Answering::restore(serde_json::from_str(&json).unwrap());
        self
    }

    fn take(&mut self) -> Vec<(u16, SwitchReason)> {
        std::mem::take(&mut self.switches)
    }
}

#[test]
fn each_policy_chooses_its_version() {
    let cases: [(_, &[u16], _); 9] = [
        (Majority, &[35, 36, 36], Some(v(36))),
        (Majority, &[35, 35, 36, 37], Some(v(35))),
        (Majority, &[36, 37], Some(v(36))),
        (Majority, &[35, 36, 36, 37, 37], Some(v(36))),
        (Newest, &[35, 35, 37], Some(v(37))),
        (Oldest, &[35, 37, 37], Some(v(35))),
        (Any, &[35, 36], None),
        (Majority, &[], None),
        (Newest, &[], None),
    ];
    for (policy, minors, expected) in cases {
        let mut answering = Answering::default();
        answering.decide(policy, &votes(minors), SECOND);
        assert_eq!(answering.version(), expected, "{policy}: {minors:?}");
    }
}

#[test]
fn a_rolling_upgrade_there_and_back_is_one_switch_each_way() {
    for pause in [1, 4, 60, 3600] {
        let mut history = History::default();
        let upgrade: [&[u16]; 7] = [
            &[36, 36, 36],
            &[36, 36],
            &[36, 36, 37],
            &[36, 37],
            &[36, 37, 37],
            &[37, 37],
            &[37; 3],
        ];
        for rotation in upgrade {
            history.rotation(Majority, rotation, pause).restart();
        }
        assert_eq!(history.take().iter().map(|(to, _)| *to).collect::<Vec<_>>(), [36, 37]);
        for rotation in upgrade.into_iter().rev() {
            history.rotation(Majority, rotation, pause);
        }
        history.rotation(Majority, &[36; 3], 60);
        assert_eq!(history.take().iter().map(|(to, _)| *to).collect::<Vec<_>>(), [36], "{pause}");
    }
}

#[test]
fn a_tie_goes_to_the_version_that_answered_also_after_a_restart() {
    for first in [36, 37] {
        let mut history = History::default();
        history.rotation(Majority, &[first], 1).rotation(Majority, &[36, 37], 3600);
        history.restart().rotation(Majority, &[36, 37], 3600);
        assert_eq!(history.take(), [(first, SwitchReason::First)]);
    }
}

#[test]
fn another_choice_answers_after_it_was_held_without_a_break() {
    let mut history = History::default();
    history.rotation(Majority, &[36], 1).take();
    for _ in 0..10 {
        history.rotation(Majority, &[36, 37, 37], 5).rotation(Majority, &[36, 37], 1);
    }
    assert_eq!(history.take(), []);
    history.rotation(Majority, &[36, 37, 37], 6);
    assert_eq!(history.take(), [(37, SwitchReason::Held)]);
}

#[test]
fn another_version_answers_at_once_if_no_peer_of_the_current_one_is_left() {
    let mut history = History::default();
    history.rotation(Newest, &[36, 37], 1).rotation(Newest, &[36], 1);
    assert_eq!(history.take(), [(37, SwitchReason::First), (36, SwitchReason::NoneLeft)]);
}

#[test]
fn without_a_known_version_the_answering_version_stays() {
    let mut history = History::default();
    history.rotation(Majority, &[], 60).rotation(Majority, &[36, 36, 37], 1);
    history.rotation(Majority, &[], 3600).restart().rotation(Majority, &[], 60);
    assert_eq!(history.take(), [(36, SwitchReason::First)]);
    assert_eq!(history.answering.version(), Some(v(36)));
}

#[test]
fn a_changed_policy_takes_effect_at_once() {
    let mut history = History::default();
    for policy in [Majority, Newest, Any, Oldest, Any, Majority] {
        history.rotation(policy, &[36, 36, 37], 1);
    }
    let switches = [
        (36, SwitchReason::First),
        (37, SwitchReason::Policy),
        (0, SwitchReason::Policy),
        (36, SwitchReason::Policy),
    ];
    assert_eq!(history.take()[..4], switches);
    assert_eq!(history.answering.version(), Some(v(36)));
}

#[test]
fn a_peer_that_comes_and_goes_makes_fewer_switches_the_longer_it_does_so() {
    let mut history = History::default();
    history.rotation(Newest, &[36], 1).take();
    for _ in 0..60 {
        history.rotation(Newest, &[36, 37], 30).rotation(Newest, &[36], 30);
    }
    let count = history.take().len();
    assert!((2..=6).contains(&count), "{count} switches in an hour");
    history.rotation(Newest, &[36], 600).rotation(Newest, &[36, 37], 6);
    assert_eq!(history.take(), [(37, SwitchReason::Held)], "calm again");
}

#[test]
fn the_answering_version_is_the_first_and_the_others_follow_by_age() {
    let mut answering = Answering::default();
    answering.decide(Majority, &votes(&[36, 36, 35, 37]), SECOND);
    let mut versions = [None, Some(v(35)), Some(v(36)), Some(v(37))];
    versions.sort_by_key(|version| answering.place(*version));
    assert_eq!(versions, [Some(v(36)), Some(v(37)), Some(v(35)), None]);
}

fn policy() -> impl Strategy<Value = AnsweringPolicy> {
    prop_oneof![Just(Majority), Just(Newest), Just(Oldest)]
}

/// Rotations, each with the seconds that it lasts.
fn rotations() -> impl Strategy<Value = Vec<(Vec<u16>, u64)>> {
    let rotation = (proptest::collection::vec(35..38_u16, 0..6), 0..900_u64);
    proptest::collection::vec(rotation, 1..40)
}

proptest! {
    /// Who is in rotation answers, whatever happened before.
    #[test]
    fn the_answering_version_is_in_rotation(policy in policy(), rotations in rotations()) {
        let mut answering = Answering::default();
        for (minors, seconds) in rotations {
            answering.decide(policy, &votes(&minors), Duration::from_secs(seconds));
            if let (Some(version), false) = (answering.version(), minors.is_empty()) {
                prop_assert!(votes(&minors).0.contains_key(&version));
            }
        }
    }

    /// What a policy chooses for long answers in the end, and nothing changes any more.
    #[test]
    fn a_rotation_that_lasts_gets_the_choice_of_the_policy(
        policy in policy(),
        rotations in rotations(),
        last in proptest::collection::vec(35..38_u16, 1..6),
    ) {
        let mut answering = Answering::default();
        for (minors, seconds) in rotations {
            answering.decide(policy, &votes(&minors), Duration::from_secs(seconds));
        }
        answering.decide(policy, &votes(&last), SECOND);
        answering.decide(policy, &votes(&last), MAX_HOLD);
        prop_assert_eq!(Some(answering.version()), choose(policy, &votes(&last), answering.version()));
        prop_assert_eq!(answering.decide(policy, &votes(&last), CALM), None);
    }

    /// While the version that answers is in rotation, at least `HOLD` passes between two switches.
    #[test]
    fn switches_that_are_not_forced_are_apart(policy in policy(), rotations in rotations()) {
        let mut answering = Answering::default();
        let mut since = Duration::MAX;
        for (minors, seconds) in rotations {
            let passed = Duration::from_secs(seconds);
            since = since.saturating_add(passed);
            if let Some(switch) = answering.decide(policy, &votes(&minors), passed) {
                prop_assert!(switch.reason != SwitchReason::Held || since >= HOLD, "{since:?}");
                prop_assert_ne!(switch.from, switch.to);
                since = Duration::ZERO;
            }
        }
    }

    /// A restart between any two decisions changes nothing but the time of a challenger.
    #[test]
    fn a_restart_switches_nothing(policy in policy(), rotations in rotations()) {
        let mut answering = Answering::default();
        for (minors, seconds) in rotations {
            let passed = Duration::from_secs(seconds);
            answering.decide(policy, &votes(&minors), passed);
            let mut restored = Answering::restore(answering.memory());
            if !minors.is_empty() {
                prop_assert_eq!(restored.decide(policy, &votes(&minors), Duration::ZERO), None);
            }
            prop_assert_eq!(restored.version(), answering.version());
        }
    }
}
