//! Which version answers: the field `answeringVersion`.

use super::value::named_values;

/// Which of several versions of the peers in rotation answers what all of them can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweringPolicy {
    /// The version of most peers.
    Majority,
    /// The newest version.
    Newest,
    /// The oldest version.
    Oldest,
    /// Every version.
    Any,
}

named_values!(AnsweringPolicy {
    Majority: "majority",
    Newest: "newest",
    Oldest: "oldest",
    Any: "any",
});
