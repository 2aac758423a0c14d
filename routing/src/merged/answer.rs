//! The answer that replaces a server's, with the headers that it would have sent.

use std::borrow::Cow;

use discovery_map::{Content, DocumentForm, MergedDocument};

/// kube-apiserver compresses larger documents (k8s.io/apiserver/pkg/endpoints/
/// handlers/responsewriters, `defaultGzipThresholdBytes`).
const GZIP_ABOVE: usize = 128 * 1024;

/// How a client wants to read a merged document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions<'c> {
    /// Its `If-None-Match`.
    pub if_none_match: Option<&'c [u8]>,
    /// Whether it takes gzip.
    pub takes_gzip: bool,
}

/// An answer of 200 or 304.
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
    pub fn new(if_none_match: Option<&'c [u8]>, accept_encoding: &[u8]) -> Self {
        let mut encodings = accept_encoding.split(|&byte| byte == b',');
        Self {
            if_none_match,
            // kube-apiserver does not recognize it with a quality value.
            takes_gzip: encodings.any(|encoding| encoding.trim_ascii() == b"gzip"),
        }
    }

    /// The merged document for this client; `peer` is the headers of the server
    /// that let it read.
    #[must_use]
    pub fn answer<'a>(
        &self,
        document: &MergedDocument,
        content: &'a Content,
        peer: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> MergedAnswer<'a> {
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
        let unchanged = etag.is_some() && etag.as_deref().map(str::as_bytes) == self.if_none_match;
        let compressed = self.takes_gzip && content.plain.len() > GZIP_ABOVE;
        if !unchanged {
            set("content-type", content_type(document));
        }
        if !unchanged && compressed {
            set("content-encoding", "gzip");
            set("vary", "Accept-Encoding");
        }
        headers.extend(etag.map(|etag| (&b"etag"[..], Cow::Owned(etag.into_bytes()))));
        let (code, body) = if unchanged {
            (304, &b""[..])
        } else if compressed {
            (200, &content.gzip[..])
        } else {
            (200, &content.plain[..])
        };
        MergedAnswer { code, headers, body }
    }
}

fn content_type(document: &MergedDocument) -> &'static str {
    match document.form {
        // The index of OpenAPI v3 has it from Go's file server.
        DocumentForm::Plain if document.path.starts_with("/openapi/") => {
            "text/plain; charset=utf-8"
        }
        DocumentForm::Plain => "application/json",
        DocumentForm::AggregatedV2 => {
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        }
        DocumentForm::AggregatedV2beta1 => {
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
        }
    }
}

/// Returns whether a header of the server's answer is about its own document or
/// its own connection. All others, such as `Audit-Id`, stay.
fn is_about_the_document(name: &[u8]) -> bool {
    const DOCUMENTS_OWN: [&[u8]; 11] = [
        b"accept-ranges",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"etag",
        b"keep-alive",
        b"last-modified",
        b"transfer-encoding",
        b"vary",
    ];
    name.starts_with(b":") || DOCUMENTS_OWN.contains(&name)
}

/// The header's value of an `ETag` from the map.
pub(super) fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
