//! The text of a merged document, in pieces: with many custom resources it has
//! megabytes, most of them the peers' own groups.

use std::fmt;
use std::iter;
use std::sync::Arc;

/// The text of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedText(Vec<Arc<str>>);

impl MergedText {
    /// Returns a list of aggregated discovery. The versions `v2` and `v2beta1` differ
    /// in nothing but their names.
    pub(super) fn aggregated(version: &str, groups: impl Iterator<Item = Arc<str>>) -> Self {
        let start = format!(
            "{{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/{version}\",\
             \"metadata\":{{}},\"items\":["
        );
        let comma = Arc::<str>::from(",");
        let groups = groups.flat_map(|group| [Arc::clone(&comma), group]).skip(1);
        // kube-apiserver ends its documents with a line feed.
        Self(iter::once(start.into()).chain(groups).chain(["]}\n".into()]).collect())
    }

    /// Returns the text, piece by piece.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|piece| &**piece)
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.pieces().map(str::len).sum()
    }
}

impl From<String> for MergedText {
    fn from(text: String) -> Self {
        Self(vec![text.into()])
    }
}

impl fmt::Display for MergedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().try_for_each(|piece| f.write_str(piece))
    }
}
