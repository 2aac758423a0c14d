//! The descriptors against the crate that they come from, and the golden resources in protobuf.

use std::path::{Path, PathBuf};
use std::process::Command;

use prost_reflect::prost_types::FileDescriptorSet;

use super::*;

fn golden() -> Vec<Value> {
    let response: Value =
        serde_json::from_str(include_str!("../../../golden/resources.json")).unwrap();
    response["resources"].as_array().unwrap().clone()
}

/// Returns the directory of the crate `envoy-types`.
fn envoy_types() -> PathBuf {
    let command = ["metadata", "--format-version=1", "--locked", "--offline"];
    let output = Command::new(env!("CARGO")).args(command).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "envoy-types").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

/// After an update of the crate, set UPDATE_GOLDEN=1.
#[test]
fn the_descriptors_are_those_of_envoy_types() {
    let all = std::fs::read(envoy_types().join("src/generated/types.bin")).unwrap();
    let mut all = FileDescriptorSet::decode(all.as_slice()).unwrap();
    all.file.iter_mut().for_each(|file| file.source_code_info = None);
    let now = all.encode_to_vec();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors/envoy.binpb");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    assert!(now == std::fs::read(path).unwrap(), "descriptors/envoy.binpb is not up to date");
}

#[test]
fn every_resource_has_a_form_in_protobuf_that_says_the_same() {
    for resource in golden() {
        let url = resource["@type"].as_str().unwrap().to_owned();
        let bytes = encode(resource.clone()).unwrap();
        let descriptor =
            POOL.as_ref().unwrap().get_message_by_name(url.rsplit('/').next().unwrap());
        let message = DynamicMessage::decode(descriptor.unwrap(), bytes.as_slice()).unwrap();
        let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true);
        let back = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
        assert_eq!(
            encode({
                let mut back = back;
                back["@type"] = url.into();
                back
            })
            .unwrap(),
            bytes,
            "{resource}"
        );
        assert!(!bytes.is_empty());
    }
}

#[test]
fn a_field_that_envoy_does_not_know_is_an_error() {
    let url = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
    let error = encode(serde_json::json!({ "@type": url, "nmae": "x" })).unwrap_err().to_string();
    assert!(error.contains("nmae"), "{error}");
    let error = encode(serde_json::json!({ "@type": "x/unknown" })).unwrap_err().to_string();
    assert!(error.contains("unknown"), "{error}");
}
