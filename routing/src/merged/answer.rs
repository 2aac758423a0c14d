//! The answer that replaces a server's, with the headers that it would have sent.

use std::borrow::Cow;

use discovery_map::{Content, DocumentEncoding, DocumentForm, MergedDocument};

use crate::encode::encode;

/// kube-apiserver compresses larger documents (k8s.io/apiserver/pkg/endpoints/
/// handlers/responsewriters, `defaultGzipThresholdBytes`).
const GZIP_ABOVE: usize = 128 * 1024;

/// How a client wants to read a merged document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions<'c> {
    /// Its `If-None-Match`.
    pub if_none_match: Option<&'c [u8]>,
    /// Whether it takes gzip.
    pub takes_gzip: bool,
    /// The encoding that it reads.
    pub encoding: DocumentEncoding,
    /// The hash in its URL, which names a document of OpenAPI v3; empty if there is none.
    pub hash: &'c [u8],
}

/// An answer of 200 or 304, or for OpenAPI v3 also 301.
#[derive(Debug, PartialEq, Eq)]
pub struct MergedAnswer<'a> {
    /// The status code.
    pub code: u16,
    /// Names and values; the length of the body is not among them.
    pub headers: Vec<(&'a [u8], Cow<'a, [u8]>)>,
    /// The body; Envoy does not send it to HEAD.
    pub body: &'a [u8],
}

impl<'c> ReadOptions<'c> {
    /// Reads the values of `If-None-Match` and `Accept-Encoding`, each the
    /// first of its name, as kube-apiserver does.
    #[must_use]
    pub fn new(
        if_none_match: Option<&'c [u8]>,
        accept_encoding: &[u8],
        encoding: DocumentEncoding,
    ) -> Self {
        let mut encodings = accept_encoding.split(|&byte| byte == b',');
        Self {
            if_none_match,
            // kube-apiserver does not recognize it with a quality value.
            takes_gzip: encodings.any(|encoding| encoding.trim_ascii() == b"gzip"),
            encoding,
            hash: b"",
        }
    }

    /// Returns the merged document of discovery for this client; `peer` is the headers of the
    /// server that let it read. `None` as in [`answer`](super::answer).
    pub(super) fn answer<'a>(
        &self,
        document: &MergedDocument,
        content: &'a Content,
        peer: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Option<MergedAnswer<'a>> {
        let kept = peer.filter(|(name, _)| !is_about_the_document(name));
        let mut headers: Vec<_> = kept.map(|(name, value)| (name, Cow::Borrowed(value))).collect();
        let mut set = |name: &'static str, value: &'static str| {
            headers.push((name.as_bytes(), Cow::Borrowed(value.as_bytes())));
        };
        let is_aggregated = document.form != DocumentForm::Plain;
        set("cache-control", if is_aggregated { "public" } else { "no-cache, private" });
        if is_aggregated {
            set("vary", "Accept");
        }
        let etag = document.etag.as_deref().map(quoted);
        // Every encoding has the same `ETag`, as at a server: they are told apart by `Vary`.
        let (code, body) =
            if etag.is_some() && etag.as_deref().map(str::as_bytes) == self.if_none_match {
                (304, &b""[..])
            } else {
                let encoded = content.encoded(self.encoding, |json| encode(json, self.encoding))?;
                let compressed = self.takes_gzip && encoded.size() > GZIP_ABOVE;
                headers.push((b"content-type", content_type(document, self.encoding)));
                if compressed {
                    headers.push((b"content-encoding", Cow::Borrowed(b"gzip")));
                    headers.push((b"vary", Cow::Borrowed(b"Accept-Encoding")));
                }
                (200, if compressed { encoded.gzip() } else { encoded.plain() })
            };
        headers.extend(etag.map(|etag| (&b"etag"[..], Cow::Owned(etag.into_bytes()))));
        Some(MergedAnswer { code, headers, body })
    }
}

fn content_type(document: &MergedDocument, encoding: DocumentEncoding) -> Cow<'static, [u8]> {
    let media_type = match encoding {
        // The index of OpenAPI v3 has it from Go's file server.
        _ if document.path.starts_with("/openapi/") => "text/plain; charset=utf-8",
        DocumentEncoding::Json | DocumentEncoding::IndentedJson => "application/json",
        DocumentEncoding::Yaml => "application/yaml",
        DocumentEncoding::Protobuf => "application/vnd.kubernetes.protobuf",
    };
    let version = match document.form {
        DocumentForm::Plain | DocumentForm::Protobuf => {
            return Cow::Borrowed(media_type.as_bytes());
        }
        DocumentForm::AggregatedV2 => "v2",
        DocumentForm::AggregatedV2beta1 => "v2beta1",
    };
    let group = "g=apidiscovery.k8s.io";
    let typed = format!("{media_type};{group};v={version};as=APIGroupDiscoveryList");
    Cow::Owned(typed.into_bytes())
}

/// Returns whether a header of the server's answer is about its own document or
/// its own connection. All others, such as `Audit-Id`, stay.
pub(super) fn is_about_the_document(name: &[u8]) -> bool {
    const DOCUMENTS_OWN: [&[u8]; 13] = [
        b"accept-ranges",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"etag",
        b"expires",
        b"keep-alive",
        b"last-modified",
        b"location",
        b"transfer-encoding",
        b"vary",
    ];
    name.starts_with(b":") || DOCUMENTS_OWN.contains(&name)
}

/// The header's value of an `ETag` from the map.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
