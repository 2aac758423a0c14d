//! Which Events there are, how often each happened, and which must be written. Pure.
//!
//! As in client-go (`tools/events/event_broadcaster.go`), the first occurrence creates an Event, the
//! second makes a series of it, and later ones are written now and then, with the final number at
//! the end. A story ends with the [`WINDOW`] in which it began, so that all companions give it the
//! same name.

use std::collections::BTreeMap;

use super::notice::Notice;
use crate::fingerprint::fingerprint;

/// The time in which occurrences are one Event, in seconds, from a multiple of it since 1970.
pub(super) const WINDOW: u64 = 600;

/// How often the number of occurrences is written while it grows, in seconds.
const HEARTBEAT: u64 = 60;

/// How long after its window a story is tried to be written, in seconds. An Event as old as that
/// misleads.
const LATE: u64 = WINDOW;

/// How many stories there are at once. A fleet that falls apart needs no Event for each of its parts.
const MOST: usize = 64;

/// Something that happened, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Story {
    pub notice: Notice,
    /// When it happened first, in seconds since 1970.
    pub first: u64,
    /// When it happened last.
    pub last: u64,
    /// How often it happened.
    pub count: u32,
    /// How many occurrences the Event has; none before it was created.
    written: u32,
    written_at: u64,
    /// Whether an API server refused it: it is not tried again.
    given_up: bool,
}

/// What must be written: the Event as a whole, or how often it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write {
    Create(String, Story),
    Count(String, Story),
}

/// The stories of the present, by the names of their Events.
#[derive(Debug, Default)]
pub(super) struct Stories(BTreeMap<String, Story>);

impl Stories {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes note of an occurrence at a time, in seconds since 1970. Returns whether there was room.
    pub(super) fn happened(&mut self, about: &str, notice: Notice, at: u64) -> bool {
        let name = name(about, &notice, at);
        let is_full = self.0.len() >= MOST;
        if let Some(story) = self.0.get_mut(&name) {
            story.count = story.count.saturating_add(1);
            story.last = story.last.max(at);
            return true;
        }
        if is_full {
            return false;
        }
        let (first, last) = (at, at);
        let story =
            Story { notice, first, last, count: 1, written: 0, written_at: 0, given_up: false };
        self.0.insert(name, story);
        true
    }

    /// Returns what must be written now, what happened first before the rest.
    pub(super) fn due(&self, now: u64) -> Option<Write> {
        let due = self.0.iter().filter(|(_, story)| story.is_due(now));
        let (name, story) = due.min_by_key(|(_, story)| (story.written, story.first))?;
        let (name, story) = (name.clone(), story.clone());
        Some(match story.written {
            0 => Write::Create(name, story),
            _ => Write::Count(name, story),
        })
    }

    /// Takes note that an Event has so many occurrences. It may have happened again meanwhile.
    pub(super) fn written(&mut self, name: &str, count: u32, now: u64) {
        if let Some(story) = self.0.get_mut(name) {
            (story.written, story.written_at) = (count, now);
        }
    }

    /// Takes note that an Event cannot be written.
    pub(super) fn give_up(&mut self, name: &str) {
        if let Some(story) = self.0.get_mut(name) {
            story.given_up = true;
        }
    }

    /// Forgets the stories that ended. Returns how many of them were never written, although nobody
    /// refused them.
    pub(super) fn forget(&mut self, now: u64) -> u64 {
        let mut lost = 0;
        self.0.retain(|_, story| {
            let stays = !story.is_over(now);
            lost += u64::from(!stays && story.written == 0 && !story.given_up);
            stays
        });
        lost
    }
}

impl Story {
    fn ends(&self) -> u64 {
        window(self.first).saturating_add(1).saturating_mul(WINDOW)
    }

    fn is_due(&self, now: u64) -> bool {
        let beat = now >= self.written_at.saturating_add(HEARTBEAT) || now >= self.ends();
        !self.given_up && self.written < self.count && (self.written <= 1 || beat)
    }

    /// A story whose clock was set back ends as well.
    fn is_over(&self, now: u64) -> bool {
        let has_ended = now >= self.ends() && (self.given_up || self.written >= self.count);
        has_ended
            || now >= self.ends().saturating_add(LATE)
            || now.saturating_add(LATE) < self.first
    }
}

fn window(at: u64) -> u64 {
    at.checked_div(WINDOW).unwrap_or_default()
}

/// Returns the name of an Event about an object: the same at every companion, and another one for
/// everything else.
fn name(about: &str, notice: &Notice, at: u64) -> String {
    let Notice { severity, reason, action, subject, note: _ } = notice;
    let content = format!("{} {reason} {action} {} {subject}", severity.as_str(), window(at));
    format!("{about}.{}", fingerprint(content.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::notice::Severity;
    use super::*;

    /// The beginning of a window.
    const BEGIN: u64 = 1_795_780_800;

    fn notice(subject: &str) -> Notice {
        Notice {
            severity: Severity::Warning,
            reason: "PeerNotServing",
            action: "Poll",
            subject: subject.to_owned(),
            note: format!("peer {subject} is unreachable"),
        }
    }

    /// Writes what is due, as an API server that answers: whether it is created, and the count.
    fn write(stories: &mut Stories, now: u64) -> Vec<(bool, u32)> {
        let mut writes = Vec::new();
        while let Some(write) = stories.due(now) {
            let (creates, name, story) = match write {
                Write::Create(name, story) => (true, name, story),
                Write::Count(name, story) => (false, name, story),
            };
            let count = if creates { 1 } else { story.count };
            stories.written(&name, count, now);
            writes.push((creates, count));
        }
        writes
    }

    #[test]
    fn the_first_occurrence_creates_the_second_makes_a_series_and_later_ones_wait() {
        let mut stories = Stories::default();
        assert!(stories.happened("kubernetes", notice("a"), BEGIN));
        assert_eq!(write(&mut stories, BEGIN), [(true, 1)]);
        assert!(stories.happened("kubernetes", notice("a"), BEGIN + 1));
        assert_eq!(write(&mut stories, BEGIN + 1), [(false, 2)]);
        for second in 2..50 {
            assert!(stories.happened("kubernetes", notice("a"), BEGIN + second));
            assert_eq!(write(&mut stories, BEGIN + second), []);
        }
        assert_eq!(write(&mut stories, BEGIN + 61), [(false, 50)]);
        assert!(stories.happened("kubernetes", notice("a"), BEGIN + 62));
        assert_eq!(write(&mut stories, BEGIN + WINDOW), [(false, 51)]);
        assert_eq!(stories.forget(BEGIN + WINDOW), 0);
        assert!(stories.is_empty());
    }

    #[test]
    fn two_companions_give_an_event_the_same_name_and_the_next_window_another() {
        let at = |at, subject: &str| name("kubernetes", &notice(subject), at);
        assert_eq!(at(BEGIN, "a"), at(BEGIN + WINDOW - 1, "a"));
        assert_ne!(at(BEGIN, "a"), at(BEGIN, "b"));
        assert_ne!(at(BEGIN, "a"), at(BEGIN + WINDOW, "a"));
        let other = Notice { note: "in other words".to_owned(), ..notice("a") };
        assert_eq!(name("kubernetes", &other, BEGIN), at(BEGIN, "a"));
        assert!(at(BEGIN, "a").starts_with("kubernetes.") && at(BEGIN, "a").len() == 27);
    }

    #[test]
    fn earlier_events_are_written_first_and_new_events_before_counts() {
        let mut stories = Stories::default();
        stories.happened("kubernetes", notice("old"), BEGIN);
        write(&mut stories, BEGIN);
        stories.happened("kubernetes", notice("old"), BEGIN + 1);
        stories.happened("kubernetes", notice("late"), BEGIN + 3);
        stories.happened("kubernetes", notice("early"), BEGIN + 2);
        let mut order = Vec::new();
        while let Some(Write::Create(name, story) | Write::Count(name, story)) =
            stories.due(BEGIN + 4)
        {
            order.push(story.notice.subject.clone());
            stories.written(&name, story.count, BEGIN + 4);
        }
        assert_eq!(order, ["early", "late", "old"]);
    }

    #[test]
    fn a_story_that_is_not_written_in_time_counts_as_lost_and_a_refused_one_does_not() {
        let mut stories = Stories::default();
        for subject in ["lost", "refused"] {
            stories.happened("kubernetes", notice(subject), BEGIN);
        }
        stories.give_up(&name("kubernetes", &notice("refused"), BEGIN));
        stories.happened("kubernetes", notice("refused"), BEGIN + 1);
        let Some(Write::Create(_, story)) = stories.due(BEGIN + 1) else {
            panic!("nothing is due")
        };
        assert_eq!(story.notice.subject, "lost");
        assert_eq!(stories.forget(BEGIN + WINDOW + LATE - 1), 0);
        assert_eq!(stories.forget(BEGIN + WINDOW + LATE), 1);
        assert!(stories.is_empty());
    }

    #[test]
    fn the_number_of_stories_is_bounded() {
        let mut stories = Stories::default();
        let mut happened = |n: usize| stories.happened("kubernetes", notice(&n.to_string()), BEGIN);
        assert!((0..MOST).all(&mut happened));
        assert!(!happened(MOST));
        // What is known goes on.
        assert!(happened(0));
    }
}
