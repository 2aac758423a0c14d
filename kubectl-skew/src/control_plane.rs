//! What is asked of the control plane itself: how many objects of a type there are, a few objects, and
//! where its Service leads.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result};
use http::Request;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::Value;

/// The path of CustomResourceDefinitions.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// How many objects are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Count {
    Some(u64),
    /// The server does not know the type.
    NotServed,
    /// The type cannot be listed: nothing of it is stored.
    NotListable,
    Failed(String),
}

/// The objects of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum Objects {
    Listed(Vec<Value>),
    NotServed,
    Failed(String),
}

/// Why a document was not read.
enum Unread {
    NotServed,
    NotListable,
    Failed(String),
}

/// Counts the objects of a collection, by a list of one: the server says how many remain. If it does not,
/// which it need not (`ListMeta.remainingItemCount`), all of them are listed.
pub async fn count(client: &Client, collection: &str) -> Count {
    let first = match get(client, &format!("{collection}?limit=1")).await {
        Ok(first) => first,
        Err(Unread::NotServed) => return Count::NotServed,
        Err(Unread::NotListable) => return Count::NotListable,
        Err(Unread::Failed(error)) => return Count::Failed(error),
    };
    if let Some(count) = counted(&first) {
        return Count::Some(count);
    }
    match list(client, collection).await {
        Objects::Listed(items) => Count::Some(u64::try_from(items.len()).unwrap_or(u64::MAX)),
        Objects::NotServed => Count::NotServed,
        Objects::Failed(error) => Count::Failed(error),
    }
}

/// Returns the number of objects in a collection, by a part of its list; `None` if the rest was not
/// counted.
fn counted(list: &Value) -> Option<u64> {
    let items = list.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    let items = u64::try_from(items).unwrap_or(u64::MAX);
    let more = list.pointer("/metadata/continue").and_then(Value::as_str);
    let rest = list.pointer("/metadata/remainingItemCount").and_then(Value::as_u64);
    match more {
        None | Some("") => Some(items),
        Some(_) => Some(items.saturating_add(rest?)),
    }
}

/// Lists all objects of a collection.
pub async fn list(client: &Client, collection: &str) -> Objects {
    let mut all = Vec::new();
    let mut next = String::new();
    loop {
        let path = format!("{collection}?limit=500{next}");
        match get(client, &path).await {
            Ok(mut list) => {
                if let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) {
                    all.append(items);
                }
                match list.pointer("/metadata/continue").and_then(Value::as_str) {
                    Some(token) if !token.is_empty() => next = format!("&continue={token}"),
                    _ => return Objects::Listed(all),
                }
            }
            Err(Unread::NotServed | Unread::NotListable) => return Objects::NotServed,
            Err(Unread::Failed(error)) => return Objects::Failed(error),
        }
    }
}

/// Returns a document.
async fn get(client: &Client, path: &str) -> Result<Value, Unread> {
    let request = Request::get(path).body(Vec::new());
    let request = request.map_err(|error| Unread::Failed(error.to_string()))?;
    client.request::<Value>(request).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 404 => Unread::NotServed,
        kube::Error::Api(status) if status.code == 405 => Unread::NotListable,
        error => Unread::Failed(described(&error)),
    })
}

/// Returns host and port of each endpoint of the Service `default/kubernetes`. An IPv6 address has
/// brackets.
///
/// # Errors
/// The EndpointSlices cannot be listed, or one has no port.
pub async fn endpoints(client: Client) -> Result<BTreeSet<String>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client, "default");
    let of_service = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let slices = slices.list(&of_service).await.map_err(plain);
    let slices = slices.context("cannot list the EndpointSlices of default/kubernetes")?;
    let mut endpoints = BTreeSet::new();
    for slice in slices {
        let port = slice.ports.iter().flatten().find_map(|port| port.port);
        let port = port.context("an EndpointSlice of default/kubernetes has no port")?;
        let addresses = slice.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.addresses);
        endpoints.extend(addresses.map(|address| match address.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
            _ => format!("{address}:{port}"),
        }));
    }
    Ok(endpoints)
}

/// Returns what an error means for a person: of a server's `Status`, its code and message.
pub fn described(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else { return error.to_string() };
    let (code, message) = (status.code.to_string(), status.message.trim());
    if message.starts_with(&code) { message.to_owned() } else { format!("{code} {message}") }
}

/// Returns such an error as one that can be given a context.
pub fn plain(error: kube::Error) -> anyhow::Error {
    anyhow::anyhow!(described(&error))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_says_how_many_objects_remain_unless_it_leaves_that_open() {
        let list = |metadata| json!({ "metadata": metadata, "items": [{}] });
        assert_eq!(counted(&list(json!({}))), Some(1));
        assert_eq!(counted(&list(json!({ "continue": "a", "remainingItemCount": 4 }))), Some(5));
        assert_eq!(counted(&list(json!({ "continue": "a" }))), None);
    }

    #[test]
    fn a_servers_refusal_is_its_code_and_message() {
        let refused = |message: &str, code| {
            let status = Status::failure(message, "").with_code(code);
            described(&kube::Error::Api(Box::new(status)))
        };
        assert_eq!(refused("404 page not found\n", 404), "404 page not found");
        assert_eq!(refused("pods is forbidden", 403), "403 pods is forbidden");
    }
}
