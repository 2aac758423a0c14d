//! The resources that a mirror has, as companions sent them.
//!
//! A companion sends them in an order in which an Envoy is right at any time (`ads/session.rs`). A
//! mirror acknowledges everything, so that what it has is what such an Envoy has. It is complete
//! once everything is there that something in it names; only then is it kept and served.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::service::discovery::v3 as pb;
use prost::Message;

use crate::ads::Kind;
use crate::fingerprint::fingerprint;

/// What is at the beginning of the file. A file of another version is not read.
const FORMAT: &str = "mixed-version-mirror 1";

/// Resources by type and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set(BTreeMap<Kind, BTreeMap<String, pb::Resource>>);

/// The bytes are not those of a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it is not a file of this version of the mirror")]
    Format,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("its content cannot be read: {0}")]
    Content(String),
}

impl Set {
    /// Returns the resources of a type.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&String, &pb::Resource)> + Clone {
        self.0.get(&kind).into_iter().flatten()
    }

    /// Returns a resource.
    pub fn get(&self, kind: Kind, name: &str) -> Option<&pb::Resource> {
        self.0.get(&kind)?.get(name)
    }

    /// Returns how many resources there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Returns the version of each resource of a type.
    pub fn versions(&self, kind: Kind) -> impl Iterator<Item = (String, String)> {
        self.of(kind).map(|(name, resource)| (name.clone(), resource.version.clone()))
    }

    /// Takes what a companion sends.
    pub fn apply(
        &mut self,
        kind: Kind,
        upserts: impl IntoIterator<Item = pb::Resource>,
        removed: &[String],
    ) {
        let all = self.0.entry(kind).or_default();
        for name in removed {
            all.remove(name);
        }
        all.extend(upserts.into_iter().map(|resource| (resource.name.clone(), resource)));
    }

    /// Returns the set as it is in a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut content = Vec::new();
        for (kind, all) in &self.0 {
            content.extend(response(*kind, all).encode_length_delimited_to_vec());
        }
        let mut file = format!("{FORMAT} {}\n", fingerprint(&content)).into_bytes();
        file.extend(content);
        file
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(file: &[u8]) -> Result<Self, Damage> {
        let end = file.iter().position(|byte| *byte == b'\n').ok_or(Damage::Format)?;
        let (header, content) = file.split_at(end);
        let mut content = content.strip_prefix(b"\n").ok_or(Damage::Format)?;
        let header = std::str::from_utf8(header).map_err(|_| Damage::Format)?;
        let sum = header.strip_prefix(FORMAT).ok_or(Damage::Format)?;
        if sum.trim_start() != fingerprint(content) {
            return Err(Damage::Checksum);
        }
        let mut set = Self::default();
        while !content.is_empty() {
            let response = pb::DeltaDiscoveryResponse::decode_length_delimited(&mut content)
                .map_err(|error| Damage::Content(error.to_string()))?;
            let kind = Kind::of_url(&response.type_url)
                .ok_or_else(|| Damage::Content("a type that is not known".to_owned()))?;
            set.apply(kind, response.resources, &[]);
        }
        Ok(set)
    }
}

fn response(kind: Kind, all: &BTreeMap<String, pb::Resource>) -> pb::DeltaDiscoveryResponse {
    pb::DeltaDiscoveryResponse {
        type_url: kind.url().to_owned(),
        resources: all.values().cloned().collect(),
        ..pb::DeltaDiscoveryResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &str, version: &str) -> pb::Resource {
        pb::Resource { name: name.into(), version: version.into(), ..pb::Resource::default() }
    }

    #[test]
    fn what_is_sent_later_replaces_and_removes() {
        let mut set = Set::default();
        set.apply(Kind::Clusters, [resource("a", "1"), resource("b", "1")], &[]);
        set.apply(Kind::Endpoints, [resource("a", "1")], &[]);
        set.apply(Kind::Clusters, [resource("a", "2")], &["b".to_owned(), "c".to_owned()]);
        assert_eq!(set.versions(Kind::Clusters).collect::<Vec<_>>(), [("a".into(), "2".into())]);
        assert_eq!(set.len(), 2);
        assert_eq!(Set::from_bytes(&set.to_bytes()), Ok(set));
    }

    #[test]
    fn no_changed_byte_of_a_file_goes_unnoticed() {
        let mut set = Set::default();
        set.apply(Kind::Filter, [resource("filter", "1")], &[]);
        let good = set.to_bytes();
        assert!(Set::from_bytes(&[]).is_err());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Set::from_bytes(&bad).is_err(), "byte {at}");
            assert!(Set::from_bytes(&good[..at]).is_err(), "{at} bytes");
        }
    }
}
