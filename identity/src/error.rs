//! Why a certificate's subject cannot be carried to the API server. The words
//! are for the client: they name what is wrong and nothing of its content.

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

/// Why a subject cannot be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectError {
    /// It is not what BoringSSL prints.
    Unreadable,
    /// A value that Go does not take for a string.
    NotText,
    /// No common name, or the last one is empty.
    NoCommonName,
    /// An organization or the user ID is empty.
    Empty(Field),
    /// Two user IDs.
    SeveralUids,
    /// A value with a byte that no header may have.
    ControlCharacter(Field),
    /// A value with a blank that would be lost at either end of a header.
    OuterBlank(Field),
    /// The digest is not 64 hexadecimal digits.
    Digest,
    /// The API servers read this from no header.
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
            Self::NotText => write!(f, "{SUBJECT} has a value that is no valid character string"),
            Self::NoCommonName => write!(f, "{SUBJECT} has no {}", Field::CommonName),
            Self::Empty(field) => write!(f, "{SUBJECT} has an empty {field}"),
            Self::SeveralUids => write!(f, "{SUBJECT} has more than one {}", Field::Uid),
            Self::ControlCharacter(field) => {
                write!(f, "{SUBJECT} has a control character in its {field}")
            }
            Self::OuterBlank(field) => {
                write!(f, "{SUBJECT} has a blank at the beginning or end of its {field}")
            }
            Self::Digest => f.write_str("the client certificate's SHA-256 digest cannot be read"),
            Self::NoHeader(field) => {
                write!(f, "no header is configured for the client certificate's {field}")
            }
        }
    }
}

impl Error for SubjectError {}
