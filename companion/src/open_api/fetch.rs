//! One document in both forms, from whichever peer in rotation has it.

use std::sync::Arc;

use discovery_map::ACCEPT_JSON;

use super::error::ReadError;
use super::metrics::{OpenApiMetrics, ReadOutcome};
use crate::apiserver::{Clients, Limits};
use crate::config::{Config, Peer};
use crate::facts::OpenApiDocument;

/// kube-apiservers before 1.27 answer with the older spelling of the type, but know this one.
const ACCEPT_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";

/// The largest document that is read, in bytes, if `polling.maxResponseBytes` is not smaller. That
/// of the core group, the largest that is built in, has 1.6 MB.
const MAX_BYTES: u64 = 4 << 20;

/// Reads documents from peers.
pub(super) struct Fetcher<'f> {
    pub config: &'f Arc<Config>,
    pub clients: &'f mut Clients,
    pub metrics: &'f OpenApiMetrics,
    /// The path below `/openapi/v3/`.
    pub path: &'f str,
}

impl Fetcher<'_> {
    /// Reads a document's JSON.
    pub(super) async fn json(&mut self, document: &OpenApiDocument) -> Result<String, ReadError> {
        let bytes = self.read_of_any(document, ACCEPT_JSON).await?;
        // No JSON has other bytes than UTF-8: the parser refuses what replaces them, or it is in a
        // text, where it does no harm.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Reads a document's protobuf.
    pub(super) async fn protobuf(
        &mut self,
        document: &OpenApiDocument,
    ) -> Result<Vec<u8>, ReadError> {
        self.read_of_any(document, ACCEPT_PROTOBUF).await
    }

    async fn read_of_any(
        &mut self,
        document: &OpenApiDocument,
        accept: &'static str,
    ) -> Result<Vec<u8>, ReadError> {
        let mut error = ReadError::Away;
        for peer in &document.peers {
            let answer = self.read(peer, &document.hash, accept).await;
            let succeeded = answer.is_ok();
            let outcome = if succeeded { ReadOutcome::Succeeded } else { ReadOutcome::Failed };
            self.metrics.read(outcome);
            match answer {
                Ok(bytes) => return Ok(bytes),
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    async fn read(
        &mut self,
        peer: &Peer,
        hash: &str,
        accept: &'static str,
    ) -> Result<Vec<u8>, ReadError> {
        let limits = Limits::from(&self.config.polling);
        let limits = Limits { bytes: limits.bytes.min(MAX_BYTES), ..limits };
        let client = self.clients.refresh(self.config, &peer.name)?.get(peer, limits)?;
        // With the hash, 200 says that it is this document: to any other, the answer is a
        // redirection.
        let path = format!("/openapi/v3/{}?hash={hash}", self.path);
        Ok(client.get(&path, accept, None).await?.ok()?.bytes().await?)
    }
}
