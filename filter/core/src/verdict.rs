//! What came of an absence query: the companion's answer, or none.

use discovery_map::Absence;

use crate::host::Host;

/// What came of an absence query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The companion answered.
    Answered(Absence),
    /// The companion did not answer, or not in time.
    NoAnswer,
}

impl Verdict {
    /// Reads the response to the callout at hand, which has no headers if the
    /// callout failed. The companion always sends a `Date`; the 503 or 504 that
    /// Envoy makes up when there is no answer has none.
    pub(crate) fn read(host: &impl Host, has_headers: bool) -> Self {
        if !has_headers {
            return Self::NoAnswer;
        }
        let status = host.callout_header(":status").unwrap_or_default();
        let has_date = host.callout_header("date").is_some();
        match Absence::from_status(&status) {
            Some(absence) if has_date || absence != Absence::Unclear => Self::Answered(absence),
            _ => Self::NoAnswer,
        }
    }
}
