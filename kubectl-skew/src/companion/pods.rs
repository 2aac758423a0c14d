//! The companion's pod: of the chart or Kustomize, or a static pod of a control-plane node.

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::args::Connection;
use crate::control_plane::plain;
use crate::endpoint::{Carrier, Endpoint, Who};

/// The pods of the chart and Kustomize, and of `companion manifest static-pod`.
const SELECTOR: &str = "app.kubernetes.io/name in (mixed-version-proxy, mixed-version-companion)";

/// The label of the chart's release.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// The names of the companion's container in these pods.
const CONTAINERS: [&str; 2] = ["companion", "mixed-version-companion"];

/// Where a pod is.
pub struct Pod {
    namespace: String,
    name: String,
    /// The number of ready pods of the same installation beside it.
    pub others: usize,
}

/// Finds the companion's pod: the one that the user names, or the first ready one by name.
///
/// # Errors
/// There is none, or the user may not list pods.
pub async fn find(client: &Client, args: &Connection) -> Result<Pod> {
    let namespace = args.namespace.as_deref();
    if let Some(name) = &args.companion_pod {
        let namespace = namespace.unwrap_or(client.default_namespace()).to_owned();
        return Ok(Pod { namespace, name: name.clone(), others: 0 });
    }
    let pods: Api<PodObject> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let hint =
        "specify the companion's endpoint with --companion, or its pod with --companion-pod and -n";
    let list = pods.list(&ListParams::default().labels(SELECTOR)).await.map_err(plain);
    let list = list.with_context(|| format!("cannot list the companion's pods: {hint}"))?;
    let mut found: Vec<_> = list.items.iter().filter(|pod| is_companion(pod)).collect();
    found.sort_by_key(|pod| (pod.namespace(), pod.name_any()));
    let ready: Vec<_> = found.iter().filter(|pod| is_ready(pod)).collect();
    let Some(pod) = ready.first() else {
        let place =
            namespace.map_or("any namespace".to_owned(), |name| format!("namespace {name}"));
        match found.len() {
            0 => bail!("found no companion pod in {place} ({SELECTOR}): {hint}"),
            count => bail!("none of the companion's {count} pods in {place} is ready: {hint}"),
        }
    };
    let installation = |pod: &PodObject| (pod.namespace(), pod.labels().get(INSTANCE).cloned());
    let same = ready.iter().filter(|other| installation(other) == installation(pod));
    let others = same.count().saturating_sub(1);
    let namespace = pod.namespace().unwrap_or_default();
    Ok(Pod { namespace, name: pod.name_any(), others })
}

/// Forwards the endpoint's port.
///
/// # Errors
/// The user may not, or the node does not answer.
pub async fn forward(client: Client, pod: &Pod, args: &Connection) -> Result<Endpoint> {
    let Pod { namespace, name, .. } = pod;
    let port = args.companion_port;
    let pods: Api<PodObject> = Api::namespaced(client, namespace);
    let what = || format!("cannot forward port {port} of pod {namespace}/{name}");
    let forwarder = pods.portforward(name, &[port]).await.map_err(plain).with_context(what)?;
    let (stream, carrier) = Carrier::of(forwarder, port).with_context(what)?;
    let host = (Who::Companion, "localhost");
    Endpoint::over(stream, host, args.request_timeout, Some(carrier)).await
}

fn is_companion(pod: &PodObject) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| {
        let first = spec.init_containers.iter().flatten();
        first.chain(&spec.containers)
    });
    containers.map(|container| &*container.name).any(|name| CONTAINERS.contains(&name))
}

fn is_ready(pod: &PodObject) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
}
