//! What is called after a control plane.

/// The name by which clients ask for a control plane.
pub fn host(name: &str) -> String {
    format!("{name}.example.com")
}

/// The group of a type that only this control plane has.
pub fn group(name: &str) -> String {
    format!("only-{name}.example.org")
}

/// Returns the path of objects of that type.
pub fn widgets(name: &str) -> String {
    format!("/apis/{}/v1/widgets", group(name))
}
