//! Values with rules of their own, each with `FromStr` and `Display`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is no such value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub(super) &'static str);

/// A peer's name: a DNS-1123 label, for it becomes part of cluster names,
/// and a dot there would split Envoy's statistics names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(Arc<str>);

/// The default cluster's name. `_` joins it to peer names, which have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPrefix(Box<str>);

/// A DNS name in certificates and SNI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(Box<str>);

impl PeerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ClusterPrefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ServerName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.len() > 63 || !is_label(text) {
            return Err(InvalidValue(
                "must be 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
            ));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for ClusterPrefix {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.len() > 40 || !is_label(text) {
            return Err(InvalidValue(
                "must be 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
            ));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for ServerName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if text.len() > 253 || numeric || !text.split('.').all(is_label) {
            return Err(InvalidValue("must be a DNS name in lower case, and not an IP address"));
        }
        Ok(Self(text.into()))
    }
}

fn is_label(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().all(|byte| word(byte) || byte == b'-')
        && text.bytes().next().is_some_and(word)
        && text.bytes().next_back().is_some_and(word)
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ClusterPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
