//! Our merge compared with Kubernetes' own: two servers of one version with native mixed
//! version proxying; each has types of its own.
//!
//! Only the order may differ, and is normalized before the comparison:
//!
//! - of versions that no server has together: natively by name (`v1beta1`,
//!   `v1beta2`), in ours as Kubernetes orders versions (`v1beta2`, `v1beta1`); the
//!   first one, which clients prefer, has to be the same;
//! - of verbs and subresources: natively by name in each resource that differs
//!   between the servers, in ours as a server has them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::control_plane::{ControlPlane, ServerOptions, User};
use harness::site::{peers, stack_options};
use harness::skew::OLDER;
use harness::stack::Stack;
use harness::wait;
use serde_json::{Value, json};
use wire::client::Http;

/// The native merge knows its peers by leases, which are renewed every 10 s.
const NATIVE_DEADLINE: Duration = Duration::from_secs(180);

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The types that each of the servers has and the other does not.
const SKEW: [(&str, &str); 2] = [
    ("a", "--runtime-config=resource.k8s.io/v1beta1=true"),
    ("b", "--runtime-config=resource.k8s.io/v1beta2=true,autoscaling/v1=false"),
];

/// Aggregated `/apis` of both merges, in this order: native, ours.
pub async fn both_merges() -> Result<(Value, Value)> {
    // The first server makes the certificates that the others' arguments name.
    let mut plane = ControlPlane::start(&[OLDER]).await?;
    plane.server_mut(0)?.stop().await?;
    for (name, skew) in SKEW {
        let options = native(&plane, name)?.argument(skew);
        plane.add(options)?;
    }
    for server in 1..=SKEW.len() {
        plane.server_mut(server)?.wait_ready().await?;
    }
    let native = merged_natively(&plane).await?;
    let mut options = stack_options(&plane, "stack")?;
    options.peers = peers(&plane).split_off(1);
    let stack = Stack::start_with_map(options).await?;
    let ours = apis(&plane, &stack.url()).await?;
    Ok((native, ours))
}

/// Returns a server with native merging.
fn native(plane: &ControlPlane, name: &str) -> Result<ServerOptions> {
    let ca = plane.pki().ca_file().display().to_string();
    let client = plane.pki().client(&format!("{name}-proxy"), "front-proxy-client", &[])?;
    Ok(ServerOptions::new(name, OLDER)
        .argument("--feature-gates=UnknownVersionInteroperabilityProxy=true")
        .argument("--advertise-address=127.0.0.1")
        .argument(format!("--peer-ca-file={ca}"))
        .argument(format!("--proxy-client-cert-file={}", client.certificate.display()))
        .argument(format!("--proxy-client-key-file={}", client.key.display()))
        .argument(format!("--requestheader-client-ca-file={ca}"))
        .argument("--requestheader-allowed-names=front-proxy-client")
        .argument("--requestheader-username-headers=X-Remote-User")
        .argument("--requestheader-group-headers=X-Remote-Group")
        .argument("--requestheader-extra-headers-prefix=X-Remote-Extra-"))
}

/// Waits until both servers have the same document with the types of both.
async fn merged_natively(plane: &ControlPlane) -> Result<Value> {
    wait::until("the native merge of both servers", NATIVE_DEADLINE, async || {
        let a = apis(plane, &plane.server(1)?.url()).await?;
        let b = apis(plane, &plane.server(2)?.url()).await?;
        let text = a.to_string();
        for own in ["\"v1beta1\"", "\"v1beta2\""] {
            ensure!(text.contains(&format!("\"version\":{own}")), "no {own}");
        }
        ensure!(alike(&a) == alike(&b), "the servers differ");
        Ok(a)
    })
    .await
}

async fn apis(plane: &ControlPlane, url: &str) -> Result<Value> {
    let client = plane.client(url, User::Admin, Http::Two)?;
    let request = client.request(reqwest::Method::GET, "/apis").header("accept", V2);
    client.send(request).await?.ok()?.json()
}

/// Returns the document with its lists in a normalized order.
pub fn alike(document: &Value) -> Value {
    let mut document = document.clone();
    sort(&mut document);
    document
}

fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                sort(field);
                if matches!(name.as_str(), "verbs" | "subresources" | "versions") {
                    field.as_array_mut().into_iter().for_each(|i| i.sort_by_key(Value::to_string));
                }
            }
        }
        _ => {}
    }
}

/// Returns the differences of two documents, in a few words for each group.
pub fn differences(native: &Value, ours: &Value) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if preferred(native) != preferred(ours) {
        found.push(format!("preferred: {:?}, ours {:?}", preferred(native), preferred(ours)));
    }
    let (native, ours) = (alike(native), alike(ours));
    let names = |document: &Value| -> Vec<Value> {
        let groups = super::contents::array(document, "items").iter();
        groups.filter_map(|group| group.pointer("/metadata/name").cloned()).collect()
    };
    if names(&native) != names(&ours) {
        found.push(format!("groups: {:?}, ours {:?}", names(&native), names(&ours)));
    }
    for group in super::contents::array(&native, "items") {
        let name = group.pointer("/metadata/name").context("a group without a name")?;
        let mut others = super::contents::array(&ours, "items").iter();
        let other = others.find(|other| other.pointer("/metadata/name") == Some(name));
        if other != Some(group) {
            found.push(format!("{name}: {group}, ours {}", json!(other)));
        }
    }
    Ok(found)
}

/// Returns the preferred version of each group.
fn preferred(document: &Value) -> Vec<Option<&Value>> {
    let groups = super::contents::array(document, "items").iter();
    groups.map(|group| group.pointer("/versions/0/version")).collect()
}
