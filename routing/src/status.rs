//! The filter's own answers: the 503 that replaces a 404 that cannot be proved,
//! and the 401 for a client certificate that cannot be passed on.
//!
//! A Kubernetes `Status`, in JSON or, for a client that prefers it, protobuf
//! (k8s.io/apimachinery/pkg/apis/meta/v1, `NewServiceUnavailable` and
//! `NewUnauthorized`). client-go and kubectl read a 503 with `Retry-After` as
//! "try again".

use crate::wire;

/// After how many seconds a client should retry. The map follows a peer's change
/// within two seconds, so the second retry succeeds at the latest.
pub const RETRY_AFTER_SECONDS: u32 = 1;

/// The encodings in which a `Status` can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/json`.
    Json,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// Why the filter answers, and no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// Every server that serves the type is out of rotation.
    NoPeer,
    /// A server does not know the type, but another one may.
    Unproved,
    /// No map was received yet.
    NoMap,
    /// The proxy failed to read or change the request's headers or trailers, or to keep what
    /// belongs to it.
    ProxyFailed,
    /// The client's identity cannot be passed on to a server, for this reason.
    Unauthorized(&'a str),
}

impl Encoding {
    /// The encoding that an `Accept` header names first. Kubernetes clients list
    /// the preferred one first and do not use quality values.
    #[must_use]
    pub fn from_accept(accept: &[u8]) -> Self {
        let first = accept.split(|&byte| byte == b',').next().unwrap_or_default();
        let media_type = first.split(|&byte| byte == b';').next().unwrap_or_default();
        if media_type.trim_ascii() == Self::Protobuf.media_type().as_bytes() {
            Self::Protobuf
        } else {
            Self::Json
        }
    }

    /// The `Content-Type` value.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

impl Refusal<'_> {
    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::NoPeer | Self::Unproved | Self::NoMap | Self::ProxyFailed => 503,
            Self::Unauthorized(_) => 401,
        }
    }

    /// The value of `Retry-After`, in seconds; `None` if a retry cannot help.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u32> {
        (self.code() == 503).then_some(RETRY_AFTER_SECONDS)
    }

    /// The response body, whole.
    #[must_use]
    pub fn body(&self, encoding: Encoding) -> Vec<u8> {
        let status = wire::Status {
            status: "Failure".into(),
            message: self.message().into(),
            reason: self.reason().into(),
            details: self.retry_after_seconds().map(|seconds| wire::StatusDetails {
                retry_after_seconds: seconds.cast_signed(),
                ..wire::StatusDetails::default()
            }),
            code: self.code().into(),
        };
        match encoding {
            Encoding::Json => status.to_json(),
            Encoding::Protobuf => status.to_protobuf(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoPeer | Self::Unproved | Self::NoMap | Self::ProxyFailed => "ServiceUnavailable",
            Self::Unauthorized(_) => "Unauthorized",
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::NoPeer => "no reachable API server serves this resource; try again later",
            Self::Unproved => {
                "cannot determine whether an API server serves this resource; try again later"
            }
            Self::NoMap => "the proxy has no discovery map yet; try again later",
            Self::ProxyFailed => "the proxy failed to process this request; try again later",
            Self::Unauthorized(why) => why,
        }
    }
}

#[cfg(test)]
mod tests;
