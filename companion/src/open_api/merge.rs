//! Merges the documents of one path, two at a time: so that however many peers differ, the
//! documents of two are in memory.

use std::collections::BTreeSet;

use api_discovery::{Additions, MergedOpenApi, MergedOpenApiContent, OpenApiError, Outline};

use super::error::ReadError;
use super::fetch::Fetcher;
use super::metrics::ReadOutcome;
use crate::facts::OpenApiDocument;

/// What came of an attempt.
pub(super) struct Attempt {
    /// The merged document; `None` if the first of the peers' documents could not be used.
    pub merged: Option<MergedOpenApi>,
    /// The first problem, if there was any.
    pub problem: Option<String>,
}

/// Merges documents that peers in rotation have, in the order of the peers' rank. A document that
/// cannot be read in both forms is left out of both.
pub(super) async fn attempt(fetcher: Fetcher<'_>, documents: &[&OpenApiDocument]) -> Attempt {
    let mut merger = Merger { fetcher, documents, left_out: BTreeSet::new(), problem: None };
    let merged = match merger.merge().await {
        Ok(merged) => Some(merged),
        Err(error) => {
            merger.note(&error);
            None
        }
    };
    Attempt { merged, problem: merger.problem }
}

struct Merger<'m> {
    fetcher: Fetcher<'m>,
    documents: &'m [&'m OpenApiDocument],
    /// Positions of documents that cannot be used.
    left_out: BTreeSet<usize>,
    problem: Option<String>,
}

/// The JSON that was merged so far.
struct MergedJson {
    text: String,
    outline: Outline,
    /// What each document added, by its position.
    additions: Vec<(usize, Additions)>,
}

impl Merger<'_> {
    /// # Errors
    /// The first document cannot be used.
    async fn merge(&mut self) -> Result<MergedOpenApi, ReadError> {
        let content = loop {
            let json = self.json().await?;
            if json.additions.is_empty() {
                break None;
            }
            if let Some(protobuf) = self.protobuf(&json.additions).await? {
                let pack = move || MergedOpenApiContent::pack(json.text.as_bytes(), &protobuf);
                break Some(blocking(pack).await?);
            }
        };
        self.fetcher.metrics.merged();
        let used = self.documents.iter().enumerate().filter(|(at, _)| !self.left_out.contains(at));
        let hashes = used.map(|(_, document)| document.hash.clone()).collect();
        Ok(MergedOpenApi { path: self.fetcher.path.into(), hashes, content })
    }

    /// # Errors
    /// As above.
    async fn json(&mut self) -> Result<MergedJson, ReadError> {
        let (first, others) = self.documents.split_first().ok_or(ReadError::Away)?;
        let text = self.fetcher.json(first).await?;
        let outline = Outline::of_json(&text)?;
        let mut merged = MergedJson { text, outline, additions: Vec::new() };
        for (at, document) in (1..).zip(others) {
            if self.left_out.contains(&at) {
                continue;
            }
            let added = match self.fetcher.json(document).await {
                Ok(other) => {
                    let added;
                    (merged, added) = blocking(move || merged.with(at, &other)).await?;
                    added.map_err(ReadError::from)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = added {
                self.leave_out(at, &error);
            }
        }
        Ok(merged)
    }

    /// Returns the protobuf with the same additions. `None` if another document must be left out,
    /// and with it what it added to the JSON.
    ///
    /// # Errors
    /// As above.
    async fn protobuf(
        &mut self,
        additions: &[(usize, Additions)],
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let first = self.documents.first().ok_or(ReadError::Away)?;
        let mut merged = self.fetcher.protobuf(first).await?;
        for (at, additions) in additions {
            let Some(document) = self.documents.get(*at) else { continue };
            let added = match self.fetcher.protobuf(document).await {
                Ok(other) => {
                    let (known, additions) = (std::mem::take(&mut merged), additions.clone());
                    let added = move || additions.merge_protobuf(&[known, other]);
                    blocking(added).await?.map_err(ReadError::from)
                }
                Err(error) => Err(error),
            };
            match added {
                Ok(with_it) => merged = with_it,
                Err(error) => {
                    self.leave_out(*at, &error);
                    return Ok(None);
                }
            }
        }
        Ok(Some(merged))
    }

    fn leave_out(&mut self, at: usize, error: &ReadError) {
        self.left_out.insert(at);
        self.note(error);
    }

    fn note(&mut self, error: &ReadError) {
        if let ReadError::Unusable(_) = error {
            self.fetcher.metrics.read(ReadOutcome::Unusable);
        }
        self.problem.get_or_insert_with(|| error.to_string());
    }
}

impl MergedJson {
    /// Returns this with what another document adds. An error leaves it as it is.
    fn with(mut self, at: usize, other: &str) -> (Self, Result<(), OpenApiError>) {
        let added = self.add(at, other);
        (self, added)
    }

    fn add(&mut self, at: usize, other: &str) -> Result<(), OpenApiError> {
        let additions = Additions::new(&[self.outline.clone(), Outline::of_json(other)?]);
        if !additions.is_empty() {
            let text = additions.merge_json(&[&self.text, other])?;
            (self.outline, self.text) = (Outline::of_json(&text)?, text);
            self.additions.push((at, additions));
        }
        Ok(())
    }
}

/// Parsing and packing megabytes takes a while.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReadError> {
    Ok(tokio::task::spawn_blocking(work).await?)
}
