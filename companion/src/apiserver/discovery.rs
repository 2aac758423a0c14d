//! The documents that the companion reads: readiness, discovery, version, and
//! the index of OpenAPI v3.

use std::collections::HashMap;
use std::sync::Arc;

use api_discovery::{
    Aggregated, Document, LegacyGroup, LegacyGroupVersion, ListedVersion, Listing, OpenApiIndex,
    Part,
};
use discovery_map::{ACCEPT_AGGREGATED_DISCOVERY, ACCEPT_JSON};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::client::{ApiServerClient, FetchError};
use crate::facts::Reading;

/// The `ETag` of the last document that was read of each half.
#[derive(Debug, Default)]
pub(crate) struct Validators(HashMap<Part, HeaderValue>);

impl ApiServerClient {
    /// Checks that the peer is ready.
    ///
    /// # Errors
    /// It is not, or does not answer.
    pub(crate) async fn readiness(&self) -> Result<(), FetchError> {
        let (status, answer) = self.get("/readyz", "*/*", None).await?;
        let error = answer.unexpected();
        answer.drain().await?;
        if status == StatusCode::OK { Ok(()) } else { Err(error) }
    }

    /// Returns the peer's `gitVersion`.
    pub(crate) async fn version(&self) -> Result<Arc<str>, FetchError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "gitVersion")]
            git_version: Arc<str>,
        }

        let (status, answer) = self.get("/version", ACCEPT_JSON, None).await?;
        if status != StatusCode::OK {
            return Err(answer.unexpected());
        }
        answer.json::<Version>().await.map(|version| version.git_version)
    }

    /// Reads one half of the peer's discovery, if it changed.
    pub(crate) async fn discovery(
        &self,
        part: Part,
        validators: &mut Validators,
    ) -> Result<Reading, FetchError> {
        let validator = validators.0.get(&part);
        let (status, answer) =
            self.get(part.path(), ACCEPT_AGGREGATED_DISCOVERY, validator).await?;
        match status {
            StatusCode::NOT_MODIFIED => Ok(Reading::Unchanged),
            StatusCode::OK => {
                let etag = answer.etag.clone();
                let (listing, mut document) = self.listing(part, answer.json().await?).await?;
                document.etag = etag.as_ref().and_then(opaque);
                // Only now: a document that was not read to its end must be
                // asked for again.
                match etag {
                    Some(etag) => validators.0.insert(part, etag),
                    None => validators.0.remove(&part),
                };
                Ok(Reading::Listed(listing, Box::new(document)))
            }
            _ => Err(answer.unexpected()),
        }
    }

    /// Returns the index of the peer's OpenAPI v3 documents; none from servers
    /// before 1.23.
    pub(crate) async fn open_api(&self) -> Result<Option<OpenApiIndex>, FetchError> {
        let (status, answer) = self.get("/openapi/v3", ACCEPT_JSON, None).await?;
        match status {
            StatusCode::OK => answer.json().await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.unexpected()),
        }
    }

    async fn listing(
        &self,
        part: Part,
        document: Document,
    ) -> Result<(Listing, Aggregated), FetchError> {
        match document {
            Document::Aggregated(list) => Ok(list.read(part)),
            Document::Groups(list) => self.legacy(list.group_versions()).await,
            Document::Versions(list) => self.legacy(list.group_versions()).await,
        }
    }

    /// The older form: a document for every group-version.
    async fn legacy(
        &self,
        group_versions: impl Iterator<Item = (Box<str>, Box<str>)>,
    ) -> Result<(Listing, Aggregated), FetchError> {
        let mut listing = Listing::default();
        let mut groups = Vec::<LegacyGroup>::new();
        for (group, version) in group_versions {
            let path = match group.is_empty() {
                true => format!("/api/{version}"),
                false => format!("/apis/{group}/{version}"),
            };
            let (status, answer) = self.get(&path, ACCEPT_JSON, None).await?;
            let (read, stale) = match status {
                StatusCode::OK => (answer.json::<LegacyGroupVersion>().await?, false),
                // Gone between the list and the question.
                StatusCode::NOT_FOUND => {
                    answer.drain().await?;
                    continue;
                }
                // The server of an aggregated API is down: the rest counts.
                StatusCode::SERVICE_UNAVAILABLE => {
                    answer.drain().await?;
                    (LegacyGroupVersion::default(), true)
                }
                _ => return Err(answer.unexpected()),
            };
            let text = read.aggregated(&group, &version, stale);
            match groups.last_mut() {
                Some((name, versions)) if *name == group => versions.push((version.clone(), text)),
                _ => groups.push((group.clone(), vec![(version.clone(), text)])),
            }
            let listed = ListedVersion { stale, ..read.listed() };
            listing.0.entry(group).or_default().insert(version, listed);
        }
        Ok((listing, Aggregated::of_legacy(groups)))
    }
}

/// Returns the text between the quotes of a strong validator.
fn opaque(etag: &HeaderValue) -> Option<Box<str>> {
    let text = etag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    (!text.is_empty() && text.bytes().all(sound)).then(|| text.into())
}

impl Validators {
    /// Returns the validator of one half.
    pub(crate) fn of(part: Part, etag: Option<HeaderValue>) -> Self {
        Self(etag.map(|etag| (part, etag)).into_iter().collect())
    }

    /// Returns whether the peer gives its documents an `ETag`.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}
