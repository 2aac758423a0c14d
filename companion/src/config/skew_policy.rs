//! Whether Kubernetes' version skew policy is kept by routing: the field `skewPolicy`.

use super::value::named_values;

/// What is done about a component that is newer than servers that could answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkewPolicy {
    /// Servers that are at least as new answer it.
    Keep,
    /// It is treated as every other client.
    Ignore,
}

named_values!(SkewPolicy { Keep: "keep", Ignore: "ignore" });
