//! The documents that the companion reads: readiness, discovery, version, and
//! the index of OpenAPI v3.

use std::collections::HashMap;

use api_discovery::{
    DiscoveryDocument, GroupVersion, LegacyGroupVersion, LegacyReader, Listing, OpenApiIndex, Part,
    ServerVersion, group_version_path,
};
use discovery_map::{ACCEPT_AGGREGATED_DISCOVERY, ACCEPT_JSON};
use reqwest::StatusCode;
use reqwest::header::HeaderValue;

use super::client::{ApiServerClient, FetchError};
use crate::facts::Reading;

/// The largest answer to `/version` that is read, in bytes. Real ones have 300.
const MAX_VERSION: u64 = 64 << 10;

/// The `ETag` of the last document that was read of each half.
#[derive(Clone, Debug, Default)]
pub struct Validators(HashMap<Part, HeaderValue>);

impl ApiServerClient {
    /// Checks that the peer is ready.
    pub async fn readiness(&self) -> Result<(), FetchError> {
        let answer = self.get("/readyz", "*/*", None).await?;
        let (is_ready, error) = (answer.status == StatusCode::OK, answer.unexpected());
        answer.drain().await?;
        if is_ready { Ok(()) } else { Err(error) }
    }

    pub async fn version(&self) -> Result<ServerVersion, FetchError> {
        let client = self.at_most(MAX_VERSION);
        client.get("/version", ACCEPT_JSON, None).await?.ok()?.json().await
    }

    /// Reads one half of the peer's discovery, if it changed. Whoever drops what this returns must
    /// drop `validators` too.
    pub async fn discovery(
        &self,
        part: Part,
        validators: &mut Validators,
    ) -> Result<Reading<Listing>, FetchError> {
        let validator = validators.0.get(&part);
        let answer = self.get(part.path(), ACCEPT_AGGREGATED_DISCOVERY, validator).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Reading::Unchanged);
        }
        let answer = answer.ok()?;
        let etag = answer.etag.clone();
        let mut listing = match answer.json().await? {
            DiscoveryDocument::Aggregated(list) => list.read(part),
            DiscoveryDocument::Legacy(list) => self.legacy_listing(part, list).await?,
        };
        listing.etag = etag.as_ref().and_then(opaque);
        // Only now: a document that was not read to its end must be asked for again.
        match etag {
            Some(etag) => validators.0.insert(part, etag),
            None => validators.0.remove(&part),
        };
        Ok(Reading::Read(listing))
    }

    /// Reads the index of the peer's OpenAPI v3 documents. Servers before 1.23 have none.
    pub async fn open_api(&self) -> Result<Reading<OpenApiIndex>, FetchError> {
        let answer = self.get("/openapi/v3", ACCEPT_JSON, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Reading::Unchanged);
        }
        answer.ok()?.json().await.map(Reading::Read)
    }

    /// Reads the older document of a group-version.
    pub async fn group_version(
        &self,
        group: &str,
        version: &str,
    ) -> Result<LegacyGroupVersion, FetchError> {
        let path = group_version_path(group, version);
        self.get(&path, ACCEPT_JSON, None).await?.ok()?.json().await
    }

    /// Reads the older form: a document for every group-version.
    async fn legacy_listing(
        &self,
        part: Part,
        list: Vec<GroupVersion>,
    ) -> Result<Listing, FetchError> {
        let too_many = |error| FetchError::limit(part.path(), error);
        let mut reader = LegacyReader::default();
        for (group, version) in list {
            let path = group_version_path(&group, &version);
            let answer = self.get(&path, ACCEPT_JSON, None).await?;
            match answer.status {
                StatusCode::OK => {
                    let document = answer.json().await?;
                    reader.add(&group, &version, Some(document)).map_err(too_many)?;
                }
                // Gone since the list was read.
                StatusCode::NOT_FOUND => answer.drain().await?,
                // The server of an aggregated API is down, or fails: the rest counts. In aggregated
                // discovery kube-apiserver calls such a version stale.
                status if status.is_server_error() => {
                    answer.drain().await?;
                    reader.add(&group, &version, None).map_err(too_many)?;
                }
                _ => return Err(answer.unexpected()),
            }
        }
        Ok(reader.finish())
    }
}

/// Returns the text between the quotes of a strong validator.
fn opaque(etag: &HeaderValue) -> Option<Box<str>> {
    let text = etag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    let valid = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    (!text.is_empty() && text.bytes().all(valid)).then(|| text.into())
}

impl Validators {
    /// Returns whether the peer gives its documents an `ETag`.
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }
}
