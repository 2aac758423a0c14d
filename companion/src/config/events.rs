//! The section `events`: whether the companion writes Kubernetes Events, and about what.

use super::reader::{Faulty, Section};
use super::value::Label;

/// The Service that Events are about. They are in its namespace, as the API requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsTarget {
    /// The namespace of the Service and of the Events.
    pub namespace: Label,
    /// The name of the Service. It need not exist.
    pub service: Label,
}

pub(super) fn events(mut section: Section<'_>) -> Result<EventsTarget, Faulty> {
    let namespace = section.or_default("namespace", "default", str::parse::<Label>);
    let service = section.or_default("service", "kubernetes", str::parse::<Label>);
    section.finish();
    Ok(EventsTarget { namespace: namespace?, service: service? })
}
