//! Why a certificate's subject cannot be passed on to an API server. The text is
//! for the client: it says what is wrong, and repeats nothing of the content.

use thiserror::Error;

/// The parts of a subject that an API server reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Field {
    /// The user's name.
    #[error("common name (CN)")]
    CommonName,
    /// A group.
    #[error("organization (O)")]
    Organization,
    /// The user's ID, of an attribute type of Kubernetes' own.
    #[error("user ID (1.3.6.1.4.1.57683.2)")]
    Uid,
}

/// Why a subject cannot be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubjectError {
    /// It does not have the form that BoringSSL prints.
    #[error("the client certificate's subject cannot be read")]
    Unreadable,
    /// A value is not a string to Go.
    #[error("the client certificate's subject has a value that is not a valid string")]
    NotText,
    /// No common name, or the last one is empty.
    #[error("the client certificate's subject has no {}", Field::CommonName)]
    NoCommonName,
    /// An organization or the user ID is empty.
    #[error("the client certificate's subject has an empty {0}")]
    Empty(Field),
    /// There is more than one user ID.
    #[error("the client certificate's subject has more than one {}", Field::Uid)]
    SeveralUids,
    /// A value has a byte that no header may have.
    #[error("the client certificate's subject has a control character in its {0}")]
    ControlCharacter(Field),
    /// A value has a blank at an end, where a header would lose it.
    #[error("the client certificate's subject has a space at the beginning or end of its {0}")]
    OuterBlank(Field),
    /// The digest is not 64 hexadecimal digits.
    #[error("the client certificate's SHA-256 digest cannot be read")]
    Digest,
    /// No header is configured from which the API servers would read this.
    #[error("no header is configured for the client certificate's {0}")]
    NoHeader(Field),
}
