//! The question to the companion whether a type is really served by nobody,
//! and what its answer means.

/// What is asked, before the path.
const QUESTION: &str = "/v1/absence?path=";

/// What the companion found out; a closed set, for it labels a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No server has it: the 404 is the truth.
    Absent,
    /// A server has it since a moment ago.
    Served,
    /// A server could not be asked, or has just left.
    Unclear,
    /// The companion did not answer, or not in time.
    NoAnswer,
}

impl Verdict {
    /// Every verdict, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Served, Self::Unclear, Self::NoAnswer];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Served => "served",
            Self::Unclear => "unclear",
            Self::NoAnswer => "no_answer",
        }
    }

    /// Reads an answer by its status. `has_date` is whether it has a `Date`:
    /// the companion always sends one, and the 503 or 504 that Envoy makes up
    /// when there is no answer has none.
    #[must_use]
    pub fn from_answer(status: &[u8], has_date: bool) -> Self {
        match status {
            b"204" => Self::Absent,
            b"409" => Self::Served,
            b"503" if has_date => Self::Unclear,
            _ => Self::NoAnswer,
        }
    }

    /// Whether the original 404 passes.
    #[must_use]
    pub fn passes(self, passes_unanswered: bool) -> bool {
        match self {
            Self::Absent => true,
            Self::Served | Self::Unclear => false,
            Self::NoAnswer => passes_unanswered,
        }
    }
}

/// The path, with query, of the question about a request's `:path`.
#[must_use]
pub fn question(path: &[u8]) -> String {
    let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    let mut question = String::with_capacity(QUESTION.len() + path.len() * 3 / 2);
    question.push_str(QUESTION);
    for &byte in path {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                question.push(char::from(byte));
            }
            _ => question.extend(escaped(byte)),
        }
    }
    question
}

fn escaped(byte: u8) -> [char; 3] {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase();
    ['%', digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests {
    use super::{Verdict, question};

    #[test]
    fn the_path_travels_as_it_came_and_without_its_query() {
        assert_eq!(
            question(b"/apis/a.io/v1/x_y?a=/b&c"),
            "/v1/absence?path=%2Fapis%2Fa.io%2Fv1%2Fx_y",
        );
        assert_eq!(
            question(b"/api/v1/a%2Fb&\xff~"),
            "/v1/absence?path=%2Fapi%2Fv1%2Fa%252Fb%26%FF~"
        );
        assert_eq!(question(b""), "/v1/absence?path=");
    }

    #[test]
    fn only_the_companion_itself_is_believed() {
        let table = [
            (&b"204"[..], true, Verdict::Absent),
            (b"409", true, Verdict::Served),
            (b"503", true, Verdict::Unclear),
            (b"503", false, Verdict::NoAnswer),
            (b"504", false, Verdict::NoAnswer),
            (b"404", true, Verdict::NoAnswer),
            (b"200", true, Verdict::NoAnswer),
            (b"", false, Verdict::NoAnswer),
        ];
        for (status, has_date, expected) in table {
            assert_eq!(Verdict::from_answer(status, has_date), expected, "{status:?}");
        }
    }

    #[test]
    fn what_no_answer_means_is_configured() {
        assert!(Verdict::Absent.passes(false) && Verdict::NoAnswer.passes(true));
        assert!(!Verdict::NoAnswer.passes(false));
        assert!(!Verdict::Served.passes(true) && !Verdict::Unclear.passes(true));
    }

    #[test]
    fn every_verdict_has_its_own_label_in_the_order_of_its_number() {
        for (position, verdict) in Verdict::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, position);
            let same = Verdict::ALL.into_iter().filter(|other| other.as_str() == verdict.as_str());
            assert_eq!(same.count(), 1);
        }
    }
}
