//! Why a certificate's subject cannot be passed on to an API server. The text is
//! for the client: it says what is wrong, and repeats nothing of the content.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// The parts of a subject that an API server reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The user's name.
    CommonName,
    /// A group.
    Organization,
    /// The user's ID, of an attribute type of Kubernetes' own.
    Uid,
}

/// Why a subject cannot be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectError {
    /// It does not have the form that BoringSSL prints.
    Unreadable,
    /// A value is not a string to Go.
    NotText,
    /// No common name, or the last one is empty.
    NoCommonName,
    /// An organization or the user ID is empty.
    Empty(Field),
    /// There is more than one user ID.
    SeveralUids,
    /// A value has a byte that no header may have.
    ControlCharacter(Field),
    /// A value has a blank at an end, where a header would lose it.
    OuterBlank(Field),
    /// The digest is not 64 hexadecimal digits.
    Digest,
    /// No header is configured from which the API servers would read this.
    NoHeader(Field),
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommonName => "common name (CN)",
            Self::Organization => "organization (O)",
            Self::Uid => "user ID (1.3.6.1.4.1.57683.2)",
        })
    }
}

impl Display for SubjectError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const SUBJECT: &str = "the client certificate's subject";
        match self {
            Self::Unreadable => write!(f, "{SUBJECT} cannot be read"),
            Self::NotText => write!(f, "{SUBJECT} has a value that is not a valid string"),
            Self::NoCommonName => write!(f, "{SUBJECT} has no {}", Field::CommonName),
            Self::Empty(field) => write!(f, "{SUBJECT} has an empty {field}"),
            Self::SeveralUids => write!(f, "{SUBJECT} has more than one {}", Field::Uid),
            Self::ControlCharacter(field) => {
                write!(f, "{SUBJECT} has a control character in its {field}")
            }
            Self::OuterBlank(field) => {
                write!(f, "{SUBJECT} has a space at the beginning or end of its {field}")
            }
            Self::Digest => f.write_str("the client certificate's SHA-256 digest cannot be read"),
            Self::NoHeader(field) => {
                write!(f, "no header is configured for the client certificate's {field}")
            }
        }
    }
}

impl Error for SubjectError {}
