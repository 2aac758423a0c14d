//! A type that is missing where the control plane goes, and how many objects of it are stored.

use super::{Check, Finding, Verdict};
use crate::control_plane::Count;

/// What turns a type on that is off by default.
pub const FLAG: &str = "--runtime-config or --feature-gates turn it on";

/// A type that is missing where the control plane goes.
#[derive(Clone, Debug)]
pub struct Stored {
    /// As people read it.
    pub name: String,
    /// Whether a flag turns it on there.
    pub is_optional: bool,
    /// Whether the resource is served there in another version.
    pub has_successor: bool,
    pub count: Count,
}

impl Stored {
    /// Returns the finding of a check about the stored objects; `None` if there are none. `judge` gets
    /// their number in words and whether it is one; it returns the verdict and the reason.
    pub fn finding(
        &self,
        check: Check,
        judge: impl FnOnce(&str, bool) -> (Verdict, String),
    ) -> Option<Finding> {
        let unknown =
            |reason: String| Some(Finding::new(check, Verdict::Unknown, &self.name, reason));
        let count = match &self.count {
            Count::Some(0) | Count::NotListable => return None,
            Count::Some(count) => *count,
            // A server is known to serve it.
            Count::NotServed => {
                return unknown("cannot be listed: the kubeconfig's server does not serve it; use a kubeconfig for Envoy".to_owned());
            }
            Count::Failed(error) => return unknown(format!("cannot be listed: {error}")),
        };
        let is_one = count == 1;
        let objects = if is_one { "1 object".to_owned() } else { format!("{count} objects") };
        let (verdict, reason) = judge(&objects, is_one);
        let types = vec![self.name.clone()];
        let finding = Finding::new(check, verdict, &self.name, reason);
        Some(Finding { types, objects: Some(count), ..finding })
    }
}
