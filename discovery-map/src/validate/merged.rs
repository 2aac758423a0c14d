//! The merged documents, and who answers for OpenAPI.

use super::check::Check;
use crate::map::Merged;
use crate::map_document::{DocumentForm, MergedDocument, OpenApi};

#[cfg(test)]
mod tests;

/// A document of 10,000 custom resources has about 8 MB.
const MAX_SIZE: u32 = 64 << 20;

/// What the paths of OpenAPI v3 documents begin with.
const OPEN_API_V3: &str = "/openapi/v3/";

impl Check {
    pub(super) fn documents(&mut self, documents: Vec<MergedDocument>) -> Vec<Merged> {
        let mut sorted: Vec<Merged> = Vec::with_capacity(documents.len());
        for (position, document) in documents.into_iter().enumerate() {
            let place = format!("documents[{position}]");
            self.document(&place, &document);
            let merged = Merged { position, document };
            // The companion sends them nearly in this order, so few are moved.
            match sorted.binary_search_by(|earlier| earlier.key().cmp(&merged.key())) {
                Ok(_) => self.fault(place, "has the path and form of an earlier document"),
                Err(index) => sorted.insert(index, merged),
            }
        }
        sorted
    }

    fn document(&mut self, place: &str, document: &MergedDocument) {
        let path = &document.path;
        if !is_document(path) {
            let problem = format!("{path:?} is not the path of a discovery document");
            self.fault(format!("{place}.path"), problem);
        }
        let is_sound = match document.form {
            DocumentForm::Plain => true,
            DocumentForm::Protobuf => path.starts_with(OPEN_API_V3),
            DocumentForm::AggregatedV2 | DocumentForm::AggregatedV2beta1 => {
                matches!(&**path, "/api" | "/apis")
            }
        };
        if !is_sound {
            let problem = "must be plain: only /api and /apis are aggregated, and only what is \
                           below /openapi/v3/ is protobuf";
            self.fault(format!("{place}.form"), problem);
        }
        // The hash in the query of its URL is the `ETag`.
        if path.starts_with(OPEN_API_V3) && document.etag.is_none() {
            self.fault(format!("{place}.etag"), "is required below /openapi/v3/");
        }
        self.etag(&format!("{place}.etag"), document.etag.as_deref());
        self.set_index(format!("{place}.set"), document.set);
        self.etag(&format!("{place}.peerEtag"), document.peer_etag.as_deref());
        if !(1..=MAX_SIZE).contains(&document.size) {
            self.fault(format!("{place}.size"), format!("must be between 1 and {MAX_SIZE}"));
        }
        if !is_base64(&document.gzip) {
            self.fault(format!("{place}.gzip"), "must be base64, with padding, and not empty");
        }
    }

    /// An `ETag` travels as a header value between quotes.
    fn etag(&mut self, place: &str, etag: Option<&str>) {
        let sound = |etag: &str| {
            !etag.is_empty() && etag.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
        };
        if let Some(etag) = etag.filter(|etag| !sound(etag)) {
            self.fault(place, format!("{etag:?} must be visible ASCII without quotes, not empty"));
        }
    }

    pub(super) fn open_api(&mut self, open_api: &OpenApi) {
        if let Some(set) = open_api.v2 {
            self.set_index("openApi.v2", set);
        }
        for (path, &set) in &open_api.v3 {
            let place = format!("openApi.v3[{path:?}]");
            if path.is_empty() || path.starts_with('/') || path.ends_with('/') {
                self.fault(&place, "must be a path below /openapi/v3/");
            }
            self.set_index(place, set);
        }
    }
}

/// Whether this path is one of those whose documents can be merged.
fn is_document(path: &str) -> bool {
    let segments: Vec<_> = path.split('/').skip(1).collect();
    let is_named = match segments.as_slice() {
        ["openapi", "v3", of @ ..] => of.is_empty() || is_group_version(of),
        segments => {
            matches!(segments, ["api" | "apis"] | ["apis", _]) || is_group_version(segments)
        }
    };
    path.starts_with('/') && is_named && segments.iter().all(|segment| !segment.is_empty())
}

fn is_group_version(segments: &[&str]) -> bool {
    matches!(segments, ["api", _] | ["apis", _, _])
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !digits.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(digit)
}
