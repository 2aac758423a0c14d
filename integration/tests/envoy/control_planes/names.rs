//! The names by which clients ask for control planes.

/// Returns the name by which clients ask for a control plane.
pub fn host(name: &str) -> String {
    format!("{name}.example.com")
}
