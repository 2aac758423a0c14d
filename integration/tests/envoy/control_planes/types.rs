//! A type that one control plane alone has.

/// Returns the group of a type that only this control plane has.
pub fn group(name: &str) -> String {
    format!("only-{name}.example.org")
}

/// Returns the path of objects of that type.
pub fn widgets(name: &str) -> String {
    format!("/apis/{}/v1/widgets", group(name))
}
