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

/// The beginning of the file. A file of another version is not read.
const FORMAT: &str = "mixed-version-mirror 1 ";

/// Resources by type and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set(BTreeMap<Kind, BTreeMap<String, pb::Resource>>);

/// The bytes are not those of a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it is not a file of a mirror, or of a mirror of another version")]
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

    /// Returns all resources with their types.
    pub fn all(&self) -> impl Iterator<Item = (Kind, &pb::Resource)> + Clone {
        self.0.iter().flat_map(|(kind, all)| all.values().map(move |one| (*kind, one)))
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
        file(&content)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(file: &[u8]) -> Result<Self, Damage> {
        let end = file.iter().position(|byte| *byte == b'\n').ok_or(Damage::Format)?;
        let (header, content) = file.split_at(end);
        let mut content = content.strip_prefix(b"\n").ok_or(Damage::Format)?;
        let header = std::str::from_utf8(header).map_err(|_| Damage::Format)?;
        let sum = header.strip_prefix(FORMAT).ok_or(Damage::Format)?;
        if sum != fingerprint(content) {
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

fn file(content: &[u8]) -> Vec<u8> {
    let header = format!("{FORMAT}{}\n", fingerprint(content));
    [header.as_bytes(), content].concat()
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
    use envoy_types::pb::google::protobuf::Any;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use serde_json::json;

    use super::*;
    use crate::ads;
    use crate::mirror::check::Checker;
    use crate::xds::{self, FilterConfig, Module};

    fn resource(name: &str, version: &str) -> pb::Resource {
        pb::Resource { name: name.into(), version: version.into(), ..pb::Resource::default() }
    }

    #[test]
    fn later_resources_replace_and_remove_earlier_ones() {
        let mut set = Set::default();
        set.apply(Kind::Clusters, [resource("a", "1"), resource("b", "1")], &[]);
        set.apply(Kind::Endpoints, [resource("a", "1")], &[]);
        set.apply(Kind::Clusters, [resource("a", "2")], &["b".to_owned(), "c".to_owned()]);
        assert_eq!(set.versions(Kind::Clusters).collect::<Vec<_>>(), [("a".into(), "2".into())]);
        assert_eq!(set.len(), 2);
        assert_eq!(Set::from_bytes(&set.to_bytes()), Ok(set));
    }

    /// A set with one resource of each type, in the form that its type has.
    fn one_of_each() -> Set {
        let mut set = Set::default();
        for kind in Kind::ALL {
            let mut value = match kind {
                Kind::Filter => FilterConfig {
                    map: r#"{"generation":1000000000000000,"defaultCluster":"a"}"#.to_owned(),
                    module: Module::of_only("/f"),
                }
                .to_json(),
                Kind::Listeners => json!({ "filterChains": [{ "name": "a" }] }),
                Kind::Endpoints => json!({ "clusterName": "a" }),
                Kind::Clusters | Kind::Secrets => json!({ "name": "a" }),
            };
            value["@type"] = kind.url().into();
            let any = Any { type_url: kind.url().into(), value: xds::encode(value).unwrap() };
            let resource = pb::Resource { resource: Some(any), ..resource("a", "10.0.0.1:1") };
            set.apply(kind, [resource], &[]);
        }
        set
    }

    /// Changes some bytes, removes some, or repeats some.
    fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            let end = random.random_range(at..bytes.len().min(at + 8)) + 1;
            match random.random_range(0..4) {
                0 => drop(bytes.drain(at..end)),
                1 => bytes.extend_from_within(at..end),
                _ => bytes[at] ^= 1 << random.random_range(0..8),
            }
        }
    }

    #[test]
    fn no_damage_goes_unnoticed_and_no_content_is_a_panic() {
        let mut random = StdRng::seed_from_u64(1);
        let set = one_of_each();
        let good = set.to_bytes();
        let content = good.splitn(2, |byte| *byte == b'\n').nth(1).unwrap();
        assert_eq!(file(content), good);
        let mut read = 0;
        for _ in 0..4000 {
            let mut bad = good.clone();
            damage(&mut bad, &mut random);
            assert!(bad == good || Set::from_bytes(&bad).is_err());
            // What a fault of another version could write.
            let mut bad = content.to_vec();
            damage(&mut bad, &mut random);
            let Ok(set) = Set::from_bytes(&file(&bad)) else { continue };
            read += 1;
            drop(Checker::of(&set).check());
            drop(ads::snapshot(set.all()));
        }
        assert!(read > 500, "{read}");
    }

    #[test]
    fn a_file_of_another_version_is_told_from_a_damaged_one() {
        let good = Set::default().to_bytes();
        let text = String::from_utf8(good).unwrap();
        for (from, to) in [("mirror 1 ", "mirror 12 "), ("mirror 1 ", "mirror 2 "), ("mixed", "?")]
        {
            let other = text.replace(from, to);
            assert_eq!(Set::from_bytes(other.as_bytes()), Err(Damage::Format));
        }
        let damaged = text.replace('\n', "a\n");
        assert_eq!(Set::from_bytes(damaged.as_bytes()), Err(Damage::Checksum));
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
