//! What of a response matters.
//!
//! The response phase cannot read the request, so the request phase says what
//! will be needed, and the host keeps it with the stream (Envoy's filter state):
//! when the stream ends, however it does, it is gone. Most requests of clients
//! that read JSON need not say anything. Envoy reads the beginning of it as well,
//! to enter the filter again only for responses that matter (see the companion's
//! `xds`).

use discovery_map::DocumentForm;

use crate::OnTypeLevelNotFound;
use crate::merged::ReadOptions;
use crate::status::Encoding;

/// The name of the property under which the host keeps it.
pub const STATE: &str = "mixed-version-proxy";

/// What it begins with where no response matters.
pub const NOTHING: &str = "nothing";

/// What it begins with where a 404 matters.
pub const NOT_FOUND: &str = "not-found";

/// What it begins with where a merged document is to be sent.
pub const DOCUMENT: &str = "document";

/// No header has it in its value (RFC 9110, 5.5), nor has a path.
const SEPARATOR: u8 = 0;

/// What a response is watched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseInterest {
    /// Nothing.
    Nothing,
    /// A 404 that could be wrong.
    NotFound(NotFound),
    /// A server was asked whether the client may have a merged document.
    Document(AwaitedDocument),
}

/// What to do about a type-level 404.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What the client asked for: plain text says nothing of it.
    pub encoding: Encoding,
    /// The request's `:path`, if the companion is asked about it first.
    pub ask: Option<Box<[u8]>>,
}

/// A merged document that a client is waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitedDocument {
    /// The document's path and form. The map may be another one by the time
    /// that the server has answered, and its document is as good.
    pub path: Box<[u8]>,
    /// See `path`.
    pub form: DocumentForm,
    /// What the client said of it.
    pub client: ReadOptions,
    /// As in [`NotFound`].
    pub encoding: Encoding,
}

/// Where nothing was said: a 404 is not believed, and the client reads JSON.
/// That errs on the safe side.
impl Default for ResponseInterest {
    fn default() -> Self {
        Self::NotFound(NotFound { encoding: Encoding::Json, ask: None })
    }
}

impl ResponseInterest {
    /// For a 404 that means this if it is type-level, on a request for `path`.
    #[must_use]
    pub fn for_not_found(meaning: OnTypeLevelNotFound, encoding: Encoding, path: &[u8]) -> Self {
        match meaning {
            OnTypeLevelNotFound::Truth => Self::Nothing,
            OnTypeLevelNotFound::Uncertain => Self::NotFound(NotFound { encoding, ask: None }),
            OnTypeLevelNotFound::AskFirst => {
                Self::NotFound(NotFound { encoding, ask: Some(path.into()) })
            }
        }
    }

    /// As the host keeps it; `None` if it need not be said.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        if *self == Self::default() {
            return None;
        }
        let mut fields: Vec<&[u8]> = Vec::with_capacity(6);
        match self {
            Self::Nothing => fields.push(NOTHING.as_bytes()),
            Self::NotFound(NotFound { encoding, ask }) => {
                fields.extend([NOT_FOUND.as_bytes(), encoding_name(*encoding)]);
                fields.extend(ask.as_deref());
            }
            Self::Document(AwaitedDocument { path, form, client, encoding }) => {
                fields.extend([DOCUMENT.as_bytes(), encoding_name(*encoding), form_name(*form)]);
                fields.push(if client.takes_gzip { GZIP } else { b"" });
                fields.push(path);
                fields.extend(client.if_none_match.as_deref());
            }
        }
        Some(fields.join(&SEPARATOR))
    }

    /// Reads what [`to_bytes`](Self::to_bytes) made; anything else is as if
    /// nothing was said.
    #[must_use]
    pub fn from_bytes(bytes: Option<&[u8]>) -> Self {
        bytes.and_then(Self::parse).unwrap_or_default()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        // What comes last could have anything in it.
        let mut fields = bytes.splitn(6, |&byte| byte == SEPARATOR);
        let kind = fields.next()?;
        if kind == NOTHING.as_bytes() {
            return Some(Self::Nothing);
        }
        let encoding = fields.next()?;
        let encoding = [Encoding::Json, Encoding::Protobuf]
            .into_iter()
            .find(|known| encoding_name(*known) == encoding)?;
        if kind == NOT_FOUND.as_bytes() {
            let ask = bytes.splitn(3, |&byte| byte == SEPARATOR).nth(2).map(Into::into);
            return Some(Self::NotFound(NotFound { encoding, ask }));
        }
        if kind != DOCUMENT.as_bytes() {
            return None;
        }
        let form = fields.next()?;
        let form = DocumentForm::ALL.into_iter().find(|known| form_name(*known) == form)?;
        let takes_gzip = fields.next()? == GZIP;
        let path = fields.next()?.into();
        let client = ReadOptions { if_none_match: fields.next().map(Into::into), takes_gzip };
        Some(Self::Document(AwaitedDocument { path, form, client, encoding }))
    }

    /// What to do about a type-level 404 of this response; `None`: it is the
    /// truth.
    #[must_use]
    pub fn not_found(self) -> Option<NotFound> {
        match self {
            Self::Nothing => None,
            Self::NotFound(not_found) => Some(not_found),
            Self::Document(wanted) => Some(NotFound { encoding: wanted.encoding, ask: None }),
        }
    }
}

const GZIP: &[u8] = b"gzip";

fn encoding_name(encoding: Encoding) -> &'static [u8] {
    match encoding {
        Encoding::Json => b"json",
        Encoding::Protobuf => b"protobuf",
    }
}

fn form_name(form: DocumentForm) -> &'static [u8] {
    match form {
        DocumentForm::Plain => b"plain",
        DocumentForm::AggregatedV2 => b"v2",
        DocumentForm::AggregatedV2beta1 => b"v2beta1",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What can be in a path or the value of a header.
    fn text() -> impl Strategy<Value = Box<[u8]>> {
        prop::collection::vec(1_u8.., 0..40).prop_map(Into::into)
    }

    fn encoding() -> impl Strategy<Value = Encoding> {
        prop_oneof![Just(Encoding::Json), Just(Encoding::Protobuf)]
    }

    fn watch() -> impl Strategy<Value = ResponseInterest> {
        let not_found = (encoding(), prop::option::of(text()))
            .prop_map(|(encoding, ask)| ResponseInterest::NotFound(NotFound { encoding, ask }));
        let form = prop::sample::select(DocumentForm::ALL.to_vec());
        let document = (text(), form, prop::option::of(text()), any::<bool>(), encoding());
        let document = document.prop_map(|(path, form, if_none_match, takes_gzip, encoding)| {
            let client = ReadOptions { if_none_match, takes_gzip };
            ResponseInterest::Document(AwaitedDocument { path, form, client, encoding })
        });
        prop_oneof![Just(ResponseInterest::Nothing), not_found, document]
    }

    proptest! {
        #[test]
        fn is_read_as_it_was_written(watch in watch()) {
            prop_assert_eq!(ResponseInterest::from_bytes(watch.to_bytes().as_deref()), watch);
        }

        #[test]
        fn reading_never_panics(bytes: Vec<u8>) {
            let _ = ResponseInterest::from_bytes(Some(&bytes));
        }

        /// Envoy tells them apart by this.
        #[test]
        fn begins_with_what_it_is(watch in watch()) {
            let kind = match watch {
                ResponseInterest::Nothing => NOTHING,
                ResponseInterest::NotFound(_) => NOT_FOUND,
                ResponseInterest::Document(_) => DOCUMENT,
            };
            let bytes = watch.to_bytes();
            prop_assert!(bytes.is_none_or(|bytes| bytes.starts_with(kind.as_bytes())));
        }
    }
}
