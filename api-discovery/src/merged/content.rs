//! The text of a merged document, in pieces: with many custom resources it has
//! megabytes, most of them the peers' own groups.

use std::fmt;
use std::sync::Arc;

/// The text of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The whole text.
    Text(String),
    /// A list of aggregated discovery.
    Aggregated {
        /// `v2` or `v2beta1`, which differ in nothing else.
        version: &'static str,
        /// The texts of the groups.
        groups: Vec<Arc<str>>,
    },
}

impl Content {
    /// Passes the text to `write`, piece by piece.
    pub(super) fn pieces(&self, mut write: impl FnMut(&str)) {
        match self {
            Self::Text(text) => write(text),
            Self::Aggregated { version, groups } => {
                write("{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/");
                write(version);
                write("\",\"metadata\":{},\"items\":[");
                for (position, group) in groups.iter().enumerate() {
                    if position > 0 {
                        write(",");
                    }
                    write(group);
                }
                // kube-apiserver ends its documents with a line feed.
                write("]}\n");
            }
        }
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let mut size = 0;
        self.pieces(|piece| size += piece.len());
        size
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        self.pieces(|piece| result = result.and_then(|()| f.write_str(piece)));
        result
    }
}
