//! The companion as a pod of the hosting cluster: it has a service account, whose files are where a
//! kubelet mounts them, and the permissions that the documents name.

use std::path::Path;

use anyhow::{Context, Result};
use harness::control_plane::{ControlPlane, User};
use harness::namespace;
use harness::relay::Relay;
use harness::site::stack_options;
use harness::skew::NEWER;
use harness::stack::Stack;
use serde_json::{Value, json};
use wire::client::{Client, Http};

use super::pods::{NAMESPACE, Pods, SERVICE};
use super::{in_rotation, server, source_is, source_reports};

const ACCOUNT: &str = "mixed-version-companion";
const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/hosted";
const DOCUMENT: &str = include_str!("../../../../docs/operations/api-servers.md");

/// Where the Service `kubernetes` of the hosting cluster is.
const PORT: u16 = 443;

#[test]
fn a_companion_in_a_pod_follows_slices_with_its_service_account() -> Result<()> {
    let test = "a_companion_in_a_pod_follows_slices_with_its_service_account";
    let host = ("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    let port = ("KUBERNETES_SERVICE_PORT", "443");
    namespace::run_test(module_path!(), test, &[host, port], in_a_pod())
}

async fn in_a_pod() -> Result<()> {
    // It hosts itself, which makes no difference here.
    let plane = ControlPlane::start_with(vec![server("both", NEWER)]).await?;
    let port = plane.server(0)?.port();
    let mut pods = Pods::create(&plane).await?;
    let address = pods.new_address(port);
    pods.add("both", address).await?;
    let admin = plane.client(&plane.server(0)?.url(), User::Admin, Http::Two)?;
    let token = account(&admin).await?;
    let files = [("token", &*token), ("ca.crt", &plane.pki().ca_pem()), ("namespace", NAMESPACE)];
    namespace::only_in_run(Path::new("secrets/kubernetes.io/serviceaccount"), &files)?;
    let _service = Relay::start_at(PORT, ([127, 0, 0, 1], port).into()).await?;

    let mut options = stack_options(&plane, "stack")?;
    let source = json!({ "namespace": NAMESPACE, "service": SERVICE });
    options.peer_source = Some(json!({ "endpointSlices": source }));
    let stack = Stack::start(options).await?;
    in_rotation(&stack, address).await?;
    source_is(&stack, "fresh").await?;
    let another = pods.new_address(port);
    pods.add("another", another).await?;
    in_rotation(&stack, another).await?;

    // Without the permission, the peers stay.
    admin.delete(&format!("{ROLES}/rolebindings/{ACCOUNT}")).await?.ok()?;
    source_reports(&stack.companion, "failing", "forbidden").await?;
    in_rotation(&stack, address).await
}

/// Makes the account with the permissions of the document. Returns a token of it.
async fn account(admin: &Client) -> Result<String> {
    let core = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    admin.post(&core, &json!({ "metadata": { "name": ACCOUNT } })).await?.ok()?;
    let section = DOCUMENT.split("### Permissions for EndpointSlices").nth(1).context("section")?;
    let yaml = section.split("```").nth(1).and_then(|code| code.strip_prefix("yaml"));
    let yaml = yaml.context("no YAML")?.replace("my-control-plane", NAMESPACE);
    for object in yaml.split("---") {
        let object: Value = serde_saphyr::from_str(object)?;
        let kind = object.get("kind").and_then(Value::as_str).context("no kind")?;
        let path = format!("{ROLES}/{}s", kind.to_lowercase());
        admin.post(&path, &object).await?.ok()?;
    }
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": { "audiences": null } });
    let path = format!("{core}/{ACCOUNT}/token");
    let token = admin.post(&path, &request).await?.ok()?.json()?;
    let token = token.pointer("/status/token").and_then(Value::as_str);
    Ok(token.context("no token")?.to_owned())
}
