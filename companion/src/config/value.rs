//! Values with rules of their own: names with `FromStr` and `Display`, paths and durations.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A peer's name: a DNS-1123 label, because it becomes part of cluster names,
/// and a dot there would split the names of Envoy's statistics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerName(Arc<str>);

/// The default cluster's name, and the name of one of many control planes. `_` joins it to peer
/// names, which contain none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterPrefix(Box<str>);

/// A DNS name in certificates and SNI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerName(Box<str>);

/// A name in the DNS; not necessarily a host's, so that a label may start with `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsName(Box<str>);

/// The name of a namespace or a Service: a DNS-1123 label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(Box<str>);

/// The name of a port in a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortName(Box<str>);

impl PeerName {
    /// Returns a name that is made of a peer's address, for sources without names. If it is taken,
    /// for a pod can really be called so, it gets a number.
    pub fn of_address(address: SocketAddr, is_taken: impl Fn(&Self) -> bool) -> Self {
        let of_address = text_of(address);
        let mut name = Self(of_address.as_str().into());
        let mut number = 2_u64;
        while is_taken(&name) {
            name = Self(format!("{of_address}-{number}").into());
            number += 1;
        }
        name
    }

    /// Returns whether [`Self::of_address`] makes this name of this address.
    pub fn is_of_address(&self, address: SocketAddr) -> bool {
        let rest = self.0.strip_prefix(&text_of(address));
        let number = rest.and_then(|rest| rest.strip_prefix('-'));
        rest == Some("") || number.is_some_and(|number| number.parse::<u64>().is_ok())
    }
}

/// Returns an address with the letters that a name may have; at most 45, of 63 that are possible.
fn text_of(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.octets().map(|part| part.to_string()).join("-"),
        IpAddr::V6(ip) => ip.segments().map(|part| format!("{part:x}")).join("-"),
    };
    format!("{ip}-{}", address.port())
}

/// Implements `as_str`, `Display`, look-ups by text and the checked conversions for values that wrap
/// a string.
macro_rules! string_values {
    ($($name:ident: $check:ident,)+) => {$(
        impl $name {
            /// Returns the value as a string.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Ok(Self($check(text)?.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )+};
}

pub(super) use string_values;

/// Gives an enum the text of each of its values in the configuration, and reads them.
macro_rules! named_values {
    ($name:ident { $($value:ident: $text:literal),+ $(,)? }) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$value => $text),+
                })
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$value),)+
                    _ => Err(format!("must be one of {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

pub(super) use named_values;

string_values! {
    PeerName: dns_label,
    ClusterPrefix: cluster_prefix,
    ServerName: server_name,
    DnsName: dns_name,
    Label: dns_label,
    PortName: dns_label,
}

/// A label of a DNS name (RFC 1123).
fn dns_label(text: &str) -> Result<&str, String> {
    label(text, 63)
}

fn cluster_prefix(text: &str) -> Result<&str, String> {
    label(text, 40)
}

fn label(text: &str, most: usize) -> Result<&str, String> {
    if text.len() <= most && is_label(text) {
        return Ok(text);
    }
    let characters = format!("must be 1 to {most} characters from a-z, 0-9 and '-'");
    Err(format!("{characters}, and start and end with a letter or digit"))
}

fn server_name(text: &str) -> Result<&str, String> {
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let label = |label: &str| label.len() <= 63 && is_label(label);
    if text.len() > 253 || numeric || !text.split('.').all(label) {
        return Err("must be a lowercase DNS name, not an IP address".to_owned());
    }
    Ok(text)
}

fn dns_name(text: &str) -> Result<&str, String> {
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let relative = text.strip_suffix('.').unwrap_or(text);
    let label =
        |label: &str| label.len() <= 63 && is_label(label.strip_prefix('_').unwrap_or(label));
    if text.len() > 253 || numeric || !relative.split('.').all(label) {
        return Err("must be a lowercase DNS name, such as kube-apiserver.example.com".to_owned());
    }
    Ok(text)
}

fn is_label(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().all(|byte| word(byte) || byte == b'-')
        && text.bytes().next().is_some_and(word)
        && text.bytes().next_back().is_some_and(word)
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() {
        Ok(path.to_owned())
    } else {
        Err("must be an absolute path".to_owned())
    }
}

/// Returns what reads a duration between two bounds, which are included.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and port, such as 192.0.2.10:9903".to_owned())
}

pub(super) fn duration(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let value = humantime::parse_duration(text)
            .map_err(|_| "must be a duration, such as 500ms, 3s or 1h".to_owned())?;
        if value < least || value > most {
            let [least, most] = [least, most].map(humantime::format_duration);
            return Err(format!("must be between {least} and {most}"));
        }
        Ok(value)
    }
}
