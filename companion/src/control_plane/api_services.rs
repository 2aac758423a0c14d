//! The `APIService` objects, which say where group-versions come from.

use api_discovery::{Origins, OriginsList};

use super::reader::Shared;
use crate::config::Config;

/// The `APIService` objects. Until they are read, and for those that they do not
/// list yet, the name of a group-version tells where it comes from.
pub struct ApiServices;

impl Shared for ApiServices {
    const WHAT: &'static str = "APIServices";
    const OTHERWISE: &'static str = "the name of a type tells whether it is built in";
    const PATH: &'static str = "/apis/apiregistration.k8s.io/v1/apiservices";
    /// The labels suffice. A server that does not know this form sends it all.
    const ACCEPT: &'static str =
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    const MAX_BYTES: u64 = u64::MAX;

    type Body = OriginsList;
    type Value = Origins;

    fn value(body: OriginsList) -> Result<Origins, String> {
        Ok(body.into())
    }

    fn matters(_: &Config) -> bool {
        false
    }
}
