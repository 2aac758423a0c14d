//! What of a response matters.
//!
//! The response phase cannot read the request. So the request phase says what
//! it will need, and the host keeps that with the stream (Envoy's filter state)
//! until the stream ends, however it ends. Most requests of clients that read
//! JSON say nothing. Envoy reads the beginning as well, and enters the filter
//! again only for responses that matter (see the companion's `xds`).

use std::borrow::Cow;

use discovery_map::{DocumentEncoding, DocumentForm};

use crate::merged::ReadOptions;
use crate::status::Encoding;

/// The name of the property under which the host keeps the interest.
pub const STATE: &str = "mixed-version-proxy";

/// The name of the property under which the host keeps the addresses of the
/// servers that denied the request, separated by NUL.
pub const DENIED: &str = "mixed-version-proxy-denied";

/// The name of the property under which the host keeps how a request was decided, for its access
/// log, unless every server could answer it.
pub const DECISION: &str = "mixed-version-proxy-decision";

/// The name of the property under which the host keeps the same for the client.
pub const DECISION_FOR_CLIENT: &str = "mixed-version-proxy-decision-for-client";

/// How an interest begins if no response matters.
pub const NOTHING: &str = "nothing";

/// How an interest begins if a 404 matters.
const NOT_FOUND: &str = "not-found";

/// How an interest begins if a 404 is only counted.
const OBSERVED: &str = "observed";

/// How an interest begins if a merged document is to be sent.
pub const DOCUMENT: &str = "document";

/// Neither a header's value (RFC 9110, 5.5) nor a path contains it.
pub const SEPARATOR: u8 = 0;

/// What of a response matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseInterest<'a> {
    /// Nothing.
    Nothing,
    /// A 404 that could be wrong.
    NotFound(NotFound),
    /// A type-level 404 is counted, and nothing is done about it.
    Observed(ObservedNotFound),
    /// The answer to an access check.
    Document(AwaitedDocument<'a>),
}

/// What to do about a type-level 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What the client asked for: a 404 in plain text does not tell.
    pub encoding: Encoding,
    /// Whether a 404 without a body is a type-level one too.
    pub may_be_empty: bool,
    /// Whether it passes also if it cannot be proved.
    pub passes: bool,
}

/// A type-level 404 about which nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedNotFound {
    /// What would have been done.
    pub change: NotFoundChange,
    /// As in [`NotFound`].
    pub may_be_empty: bool,
}

/// A change of a type-level 404 that the mode withholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFoundChange {
    /// The client would not have got it: the map says that another server in rotation serves the
    /// target.
    Prevented,
    /// It would have been replaced by 503.
    Replaced,
}

impl NotFoundChange {
    /// Every change.
    pub const ALL: [Self; 2] = [Self::Prevented, Self::Replaced];

    /// Returns the label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prevented => "prevented",
            Self::Replaced => "replaced",
        }
    }
}

/// A merged document that a client is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwaitedDocument<'a> {
    /// The document's path. The map may have changed when the server answers;
    /// the document of the new map is as good.
    pub path: &'a [u8],
    /// The document's form.
    pub form: DocumentForm,
    /// How the client wants to read it.
    pub options: ReadOptions<'a>,
    /// As in [`NotFound`].
    pub encoding: Encoding,
    /// As in [`NotFound`].
    pub passes: bool,
}

/// If the request phase said nothing, a 404 is not believed, and the client
/// reads JSON. That errs on the safe side.
impl Default for ResponseInterest<'_> {
    fn default() -> Self {
        Self::NotFound(NotFound { encoding: Encoding::Json, may_be_empty: false, passes: false })
    }
}

impl<'a> ResponseInterest<'a> {
    /// The interest as the host keeps it; `None` for the default, which need not
    /// be said.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Cow<'static, [u8]>> {
        let fields: Vec<&[u8]> = match self {
            Self::Nothing => return Some(Cow::Borrowed(NOTHING.as_bytes())),
            own if *own == Self::default() => return None,
            Self::Observed(ObservedNotFound { change, may_be_empty }) => {
                let kind = [OBSERVED.as_bytes(), change.as_str().as_bytes()];
                kind.into_iter().chain(may_be_empty.then_some(EMPTY)).collect()
            }
            Self::NotFound(NotFound { encoding, may_be_empty, passes }) => {
                let kind = [NOT_FOUND.as_bytes(), status_name(*encoding, *passes)];
                kind.into_iter().chain(may_be_empty.then_some(EMPTY)).collect()
            }
            Self::Document(AwaitedDocument { path, form, options, encoding, passes }) => {
                let document_encoding = document_encoding_name(options.encoding);
                let gzip = if options.takes_gzip { GZIP } else { b"" };
                let status = status_name(*encoding, *passes);
                let kind = [DOCUMENT.as_bytes(), status, form_name(*form)];
                let wanted = [document_encoding, gzip, options.hash, path];
                kind.into_iter().chain(wanted).chain(options.if_none_match).collect()
            }
        };
        Some(Cow::Owned(fields.join(&SEPARATOR)))
    }

    /// Reads the bytes of [`to_bytes`](Self::to_bytes); any other bytes are the
    /// default.
    #[must_use]
    pub fn from_bytes(bytes: Option<&'a [u8]>) -> Self {
        bytes.and_then(Self::parse).unwrap_or_default()
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        // The last field may contain anything.
        let mut fields = bytes.splitn(8, |&byte| byte == SEPARATOR);
        let kind = fields.next()?;
        if kind == NOTHING.as_bytes() {
            return Some(Self::Nothing);
        }
        let second = fields.next()?;
        if kind == OBSERVED.as_bytes() {
            let changes = NotFoundChange::ALL.into_iter();
            let change = changes.into_iter().find(|known| known.as_str().as_bytes() == second)?;
            let may_be_empty = fields.next() == Some(EMPTY);
            return Some(Self::Observed(ObservedNotFound { change, may_be_empty }));
        }
        let (encoding, passes) = STATUSES
            .into_iter()
            .find(|(encoding, passes)| status_name(*encoding, *passes) == second)?;
        if kind == NOT_FOUND.as_bytes() {
            let may_be_empty = fields.next() == Some(EMPTY);
            return Some(Self::NotFound(NotFound { encoding, may_be_empty, passes }));
        }
        if kind != DOCUMENT.as_bytes() {
            return None;
        }
        let form = fields.next()?;
        let form = DocumentForm::ALL.into_iter().find(|known| form_name(*known) == form)?;
        let name = fields.next()?;
        let document_encoding = DocumentEncoding::ALL
            .into_iter()
            .find(|known| document_encoding_name(*known) == name)?;
        let takes_gzip = fields.next()? == GZIP;
        let (hash, path) = (fields.next()?, fields.next()?);
        let if_none_match = fields.next();
        let options = ReadOptions { if_none_match, takes_gzip, encoding: document_encoding, hash };
        Some(Self::Document(AwaitedDocument { path, form, options, encoding, passes }))
    }

    /// What to do about a type-level 404 of this response; `None` if it is the
    /// truth.
    #[must_use]
    pub fn not_found(self) -> Option<NotFound> {
        match self {
            Self::Nothing | Self::Observed(_) => None,
            Self::NotFound(not_found) => Some(not_found),
            Self::Document(AwaitedDocument { encoding, path, passes, .. }) => {
                let may_be_empty = path.starts_with(b"/openapi/v3/");
                Some(NotFound { encoding, may_be_empty, passes })
            }
        }
    }

    /// Returns the interest by which a 404 passes also if it cannot be proved.
    pub(crate) fn passing(self) -> Self {
        match self {
            Self::Nothing | Self::Observed(_) => self,
            Self::NotFound(not_found) => Self::NotFound(NotFound { passes: true, ..not_found }),
            Self::Document(awaited) => Self::Document(AwaitedDocument { passes: true, ..awaited }),
        }
    }
}

const GZIP: &[u8] = b"gzip";

const EMPTY: &[u8] = b"empty";

/// What can be said of the 503 for a 404 that cannot be proved: its encoding, and whether the 404 passes
/// in its place.
const STATUSES: [(Encoding, bool); 4] = [
    (Encoding::Json, false),
    (Encoding::Protobuf, false),
    (Encoding::Json, true),
    (Encoding::Protobuf, true),
];

fn status_name(encoding: Encoding, passes: bool) -> &'static [u8] {
    match (encoding, passes) {
        (Encoding::Json, false) => b"json",
        (Encoding::Protobuf, false) => b"protobuf",
        (Encoding::Json, true) => b"json-passes",
        (Encoding::Protobuf, true) => b"protobuf-passes",
    }
}

fn form_name(form: DocumentForm) -> &'static [u8] {
    match form {
        DocumentForm::Plain => b"plain",
        DocumentForm::AggregatedV2 => b"v2",
        DocumentForm::AggregatedV2beta1 => b"v2beta1",
        DocumentForm::Protobuf => b"protobuf",
    }
}

fn document_encoding_name(encoding: DocumentEncoding) -> &'static [u8] {
    match encoding {
        DocumentEncoding::Json => b"json",
        DocumentEncoding::IndentedJson => b"indented",
        DocumentEncoding::Yaml => b"yaml",
        DocumentEncoding::Protobuf => b"protobuf",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What can be in a path or the value of a header.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(1_u8.., 0..40)
    }

    /// Writes and reads an interest of this kind, made of these parts.
    fn check(
        (kind, protobuf, takes_gzip, passes): (u8, bool, bool, bool),
        (form, document_encoding): (DocumentForm, DocumentEncoding),
        path: &[u8],
        value: Option<&[u8]>,
    ) {
        let encoding = if protobuf { Encoding::Protobuf } else { Encoding::Json };
        let (interest, begins) = match kind {
            0 => (ResponseInterest::Nothing, NOTHING),
            1 => {
                let not_found = NotFound { encoding, may_be_empty: takes_gzip, passes };
                (ResponseInterest::NotFound(not_found), NOT_FOUND)
            }
            2 => {
                let change =
                    if passes { NotFoundChange::Prevented } else { NotFoundChange::Replaced };
                let observed = ObservedNotFound { change, may_be_empty: takes_gzip };
                (ResponseInterest::Observed(observed), OBSERVED)
            }
            _ => {
                let options = ReadOptions {
                    if_none_match: value,
                    takes_gzip,
                    encoding: document_encoding,
                    hash: path,
                };
                let awaited = AwaitedDocument { path, form, options, encoding, passes };
                (ResponseInterest::Document(awaited), DOCUMENT)
            }
        };
        let bytes = interest.to_bytes();
        assert_eq!(ResponseInterest::from_bytes(bytes.as_deref()), interest);
        // Envoy tells them apart by this.
        assert!(bytes.is_none_or(|bytes| bytes.starts_with(begins.as_bytes())));
    }

    proptest! {
        #[test]
        fn an_interest_is_read_as_it_was_written_and_begins_with_its_kind(
            flags in (0_u8..4, any::<bool>(), any::<bool>(), any::<bool>()),
            form in prop::sample::select(DocumentForm::ALL.to_vec()),
            document_encoding in prop::sample::select(DocumentEncoding::ALL.to_vec()),
            path in text(),
            value in prop::option::of(text()),
        ) {
            check(flags, (form, document_encoding), &path, value.as_deref());
        }

        #[test]
        fn reading_any_bytes_does_not_panic(bytes: Vec<u8>) {
            let _ = ResponseInterest::from_bytes(Some(&bytes));
        }
    }
}
