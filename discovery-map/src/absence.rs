//! The absence query: the filter asks the companion whether no peer serves a
//! type, and the companion answers by a status code.

/// The path of the companion's endpoint for absence queries.
pub const ABSENCE_PATH: &str = "/v1/absence";

/// The query parameter that has the request's path, percent-encoded.
pub const ABSENCE_PARAMETER: &str = "path";

/// The companion's answer; a closed set, for it labels counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Absence {
    /// No server serves the type: the 404 is the truth.
    Absent,
    /// A server serves it.
    Served,
    /// A server could not be asked, or has just left, and no other serves it.
    Unclear,
}

impl Absence {
    /// Every answer, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Absent, Self::Served, Self::Unclear];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Served => "served",
            Self::Unclear => "unclear",
        }
    }

    /// The HTTP status that says so.
    #[must_use]
    pub fn status(self) -> &'static str {
        match self {
            Self::Absent => "204",
            Self::Served => "409",
            Self::Unclear => "503",
        }
    }

    /// Reads a status; `None` if the companion does not answer with it.
    #[must_use]
    pub fn from_status(status: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|absence| absence.status().as_bytes() == status)
    }
}

/// The absence query about a request's `:path`, as path and query of a GET.
#[must_use]
pub fn absence_query(path: &[u8]) -> String {
    let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    let mut query = format!("{ABSENCE_PATH}?{ABSENCE_PARAMETER}=");
    for &byte in path {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                query.push(char::from(byte));
            }
            _ => query.push_str(&format!("%{byte:02X}")),
        }
    }
    query
}

#[cfg(test)]
mod tests {
    use super::{Absence, absence_query};

    #[test]
    fn the_path_travels_as_it_came_and_without_its_query() {
        assert_eq!(
            absence_query(b"/apis/a.io/v1/x_y?a=/b&c"),
            "/v1/absence?path=%2Fapis%2Fa.io%2Fv1%2Fx_y",
        );
        assert_eq!(
            absence_query(b"/api/v1/a%2Fb&\xff~"),
            "/v1/absence?path=%2Fapi%2Fv1%2Fa%252Fb%26%FF~"
        );
        assert_eq!(absence_query(b""), "/v1/absence?path=");
    }

    #[test]
    fn an_answer_is_read_as_it_was_sent() {
        for (position, absence) in Absence::ALL.into_iter().enumerate() {
            assert_eq!(absence as usize, position);
            assert_eq!(Absence::from_status(absence.status().as_bytes()), Some(absence));
            let same = Absence::ALL.into_iter().filter(|other| other.as_str() == absence.as_str());
            assert_eq!(same.count(), 1);
        }
        for status in ["200", "404", "504", "", "x", "99999"] {
            assert_eq!(Absence::from_status(status.as_bytes()), None, "{status}");
        }
    }
}
