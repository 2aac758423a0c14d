//! From proto3 JSON to protobuf: what a stream carries says the same as what a file has, because it
//! is made from it.
//!
//! The descriptors are all those of the crate `envoy-types`, without comments: the template of a
//! listener may use any of them. A test compares them with the crate's.

use std::sync::LazyLock;

use prost_reflect::prost::Message;
use prost_reflect::{DescriptorError, DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

static POOL: LazyLock<Result<DescriptorPool, DescriptorError>> = LazyLock::new(|| {
    DescriptorPool::decode(include_bytes!("../../descriptors/envoy.binpb").as_slice())
});

/// Why a resource has no form in protobuf: a fault of this program.
#[derive(Clone, Debug, thiserror::Error)]
#[error("protobuf: {0}")]
pub struct EncodeError(String);

/// Returns the message of a resource in proto3 JSON, without the type URL around it.
///
/// # Errors
/// The JSON has no type, or has what the type does not know.
pub fn encode(mut resource: Value) -> Result<Vec<u8>, EncodeError> {
    let url = resource.as_object_mut().and_then(|fields| fields.remove("@type"));
    let url = url.as_ref().and_then(Value::as_str).unwrap_or_default();
    let message = DynamicMessage::deserialize(descriptor(url)?, resource);
    Ok(message.map_err(|error| EncodeError(error.to_string()))?.encode_to_vec())
}

/// Returns the proto3 JSON of a message.
///
/// # Errors
/// The type is not known, or the bytes are not a message of it.
pub fn decode(url: &str, message: &[u8]) -> Result<Value, EncodeError> {
    let failed = |error: &dyn std::fmt::Display| EncodeError(error.to_string());
    let message =
        DynamicMessage::decode(descriptor(url)?, message).map_err(|error| failed(&error))?;
    serde_json::to_value(&message).map_err(|error| failed(&error))
}

/// Returns the descriptor of the type with this URL.
fn descriptor(url: &str) -> Result<MessageDescriptor, EncodeError> {
    let pool = POOL.as_ref().map_err(|error| EncodeError(error.to_string()))?;
    let name = url.rsplit('/').next().unwrap_or_default();
    let unknown = || EncodeError(format!("the type {url:?} is not known"));
    pool.get_message_by_name(name).ok_or_else(unknown)
}

#[cfg(test)]
mod tests;
