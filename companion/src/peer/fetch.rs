//! The documents that a round reads: readiness, discovery, version.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::Reading;
use super::client::{Client, FetchError};
use crate::discovery::{Document, LegacyGroupVersion, Listing, Part};

/// The forms of aggregated discovery, best first. `nopeer` asks a server that
/// merges its peers' types into its answer for its own alone.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;profile=nopeer;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
     application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
     application/json";

const JSON: &str = "application/json";

/// The `ETag` of the last document of each half that was taken in.
#[derive(Debug, Default)]
pub(super) struct Validators(HashMap<Part, HeaderValue>);

impl Client {
    /// Whether the peer is ready; anything but its yes is an error.
    pub(super) async fn readiness(&self) -> Result<(), FetchError> {
        let (status, answer) = self.get("/readyz", "*/*", None).await?;
        let error = answer.unexpected();
        answer.drain().await?;
        if status == StatusCode::OK { Ok(()) } else { Err(error) }
    }

    /// The version that the peer says it is.
    pub(super) async fn version(&self) -> Result<Arc<str>, FetchError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "gitVersion")]
            git_version: Arc<str>,
        }

        let (status, answer) = self.get("/version", JSON, None).await?;
        if status != StatusCode::OK {
            return Err(answer.unexpected());
        }
        answer.json::<Version>().await.map(|version| version.git_version)
    }

    /// Reads one half of the peer's discovery, if it changed.
    pub(super) async fn discovery(
        &self,
        part: Part,
        validators: &mut Validators,
    ) -> Result<Reading, FetchError> {
        let validator = validators.0.get(&part);
        let (status, answer) = self.get(part.path(), AGGREGATED, validator).await?;
        match status {
            StatusCode::NOT_MODIFIED => Ok(Reading::Unchanged),
            StatusCode::OK => {
                let etag = answer.etag.clone();
                let listing = self.listing(part, answer.json().await?).await?;
                // Only now: a document that was not read to its end must be
                // asked for again.
                match etag {
                    Some(etag) => validators.0.insert(part, etag),
                    None => validators.0.remove(&part),
                };
                Ok(Reading::Listed(listing))
            }
            _ => Err(answer.unexpected()),
        }
    }

    async fn listing(&self, part: Part, document: Document) -> Result<Listing, FetchError> {
        match document {
            Document::Aggregated(list) => Ok(list.listing(part)),
            Document::Groups(list) => self.legacy(list.group_versions()).await,
            Document::Versions(list) => self.legacy(list.group_versions()).await,
        }
    }

    /// The older form: a document for every group-version.
    async fn legacy(
        &self,
        group_versions: impl Iterator<Item = (Box<str>, Box<str>)>,
    ) -> Result<Listing, FetchError> {
        let mut listing = Listing::default();
        for (group, version) in group_versions {
            let path = match group.is_empty() {
                true => format!("/api/{version}"),
                false => format!("/apis/{group}/{version}"),
            };
            let (status, answer) = self.get(&path, JSON, None).await?;
            let listed = match status {
                StatusCode::OK => answer.json::<LegacyGroupVersion>().await?.listed(),
                // Gone between the list and the question.
                StatusCode::NOT_FOUND => {
                    answer.drain().await?;
                    continue;
                }
                // The server of an aggregated API is down: the rest counts.
                StatusCode::SERVICE_UNAVAILABLE => {
                    answer.drain().await?;
                    crate::discovery::ListedVersion { stale: true, ..Default::default() }
                }
                _ => return Err(answer.unexpected()),
            };
            listing.0.entry(group).or_default().insert(version, listed);
        }
        Ok(listing)
    }
}

impl Validators {
    /// Whether the peer gives its documents an `ETag`.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }
}
