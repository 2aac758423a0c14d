//! Pods behind a load balancer: the endpoints of the `kubernetes` Service are Envoy's address if no
//! API server writes them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::control_plane::{KUBERNETES_SLICE, addresses_in};
use harness::document::Document;
use harness::namespace;
use harness::report::Entry;
use harness::skew::{NEWER, OLDER, only_in};
use harness::wait;
use nix::sys::signal::Signal;
use wire::client::{Client, ClientOptions, Http};

use super::super::API_SERVER;
use super::super::nodes::{CLIENTS, Nodes, With};
use super::DEADLINE;

/// The machine with Envoy, after two nodes.
const BALANCER: usize = 2;

/// kube-apiserver writes its endpoints each ten seconds.
const RECONCILED: Duration = Duration::from_secs(12);

/// The files of `envoy-config/load-balancer`, with the cluster's keys, on a host that is no node.
const BALANCE: &str = r#"
to=/etc/mixed-version-proxy
mkdir -p $to/tls
cp envoy-config/load-balancer/envoy.yaml $to/
sed -e '/cp-3/d' -e "s#\(filterModule: \).*#\1$FILTER#" envoy-config/load-balancer/companion.yaml >$to/companion.yaml
cd /etc/kubernetes/pki
cp ca.crt $to/tls/client-ca.crt
cp ca.crt $to/tls/peer-ca.crt
cp apiserver.crt $to/tls/server.crt
cp apiserver.key $to/tls/server.key
cp front-proxy-client.crt front-proxy-client.key $to/tls/
printf %s "$TOKEN" >$to/token
for what in companion envoy; do
    mixed-version-companion manifest static-pod $what --image none >/etc/kubernetes/manifests/mixed-version-$what.yaml
done
"#;

#[test]
fn pods_find_envoy_in_the_endpoints_that_no_api_server_writes() -> Result<()> {
    let test = "pods_find_envoy_in_the_endpoints_that_no_api_server_writes";
    namespace::run_test(module_path!(), test, &[], found())
}

async fn found() -> Result<()> {
    let mut entry = Entry::begin("cluster_node_pods");
    let mut nodes = Nodes::start(&[OLDER, NEWER], With::KubeadmOnly).await?;
    nodes.prepare(NEWER).await?;
    let token = account(&nodes)?;
    let balance = format!("TOKEN='{token}'\n{BALANCE}");
    nodes.run_with_peers(BALANCER, &balance, "")?;
    nodes.wait_serving(BALANCER, 2).await?;
    nodes.wait_ready(nodes.node(BALANCER)?).await?;

    let envoy = nodes.node(BALANCER)?.machine.address().to_string();
    let apply = Document::read("docs/topologies.md")?.commands("Pods", 0)?.to_owned();
    let two = "  - { addresses: [192.0.2.22], conditions: { ready: true } }\n";
    ensure!(apply.contains(two), "{apply}");
    let apply = apply.replace(two, "").replace("192.0.2.21", &envoy);

    nodes.run_with_peers(0, &apply, "")?;
    let written = Instant::now();
    addresses_are(&nodes, &["192.0.2.11", "192.0.2.12"]).await.context("API servers write")?;
    entry.set_ms("overwrittenAfterMs", written.elapsed());

    nodes.arguments.push(("endpoint-reconciler-type", "none"));
    for index in 0..2 {
        nodes.write_manifests(index)?;
        wait::until("the flag", DEADLINE, async || {
            let log = nodes.node(index)?.pods.log(API_SERVER)?;
            ensure!(log.contains("Using reconciler: none"), "not yet");
            anyhow::Ok(())
        })
        .await?;
        nodes.wait_ready(nodes.node(index)?).await?;
    }
    nodes.run_with_peers(0, &apply, "")?;
    nodes.node(0)?.pods.signal(API_SERVER, Signal::SIGKILL)?;
    nodes.ended(0, API_SERVER).await?;
    nodes.wait_ready(nodes.node(0)?).await?;
    let since = Instant::now();
    while since.elapsed() < RECONCILED {
        ensure!(addresses(&nodes).await? == [envoy.as_str()], "{:?}", addresses(&nodes).await?);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    as_a_pod(&nodes, &token).await?;
    entry.passed()
}

/// Makes a service account that may everything; its token.
fn account(nodes: &Nodes) -> Result<String> {
    let commands = "kubectl create clusterrolebinding pods --clusterrole=cluster-admin \
         --serviceaccount=default:default >/dev/null
         kubectl create token default";
    // Its controller may not have made it yet.
    let commands = format!(
        "until kubectl get serviceaccount default >/dev/null; do sleep 0.2; done\n{commands}"
    );
    Ok(nodes.run_with_peers(0, &commands, "")?.trim().to_owned())
}

/// A pod gets there, and has each type; at the older API server it does not.
async fn as_a_pod(nodes: &Nodes, token: &str) -> Result<()> {
    let skewed = only_in(NEWER, OLDER)?;
    let address = addresses(nodes).await?.pop().context("an endpoint")?;
    let client = |url: String| -> Result<Client> {
        let options = nodes.client_options(url, Http::Two)?;
        let token = Some(token.to_owned());
        Client::new(&ClientOptions { certificate: None, token, ..options })
    };
    let pod = client(format!("https://{address}:{CLIENTS}"))?;
    for _ in 0..20 {
        pod.get(&skewed).await?.ok()?;
    }
    let direct = client(nodes.url(0)?)?.get(&skewed).await?;
    ensure!(direct.is_type_level_404(), "{direct:?}");
    Ok(())
}

async fn addresses(nodes: &Nodes) -> Result<Vec<String>> {
    let slice = nodes.client(1, Http::Two)?.get(KUBERNETES_SLICE).await?.ok()?.json()?;
    Ok(addresses_in(&slice)?.into_iter().collect())
}

async fn addresses_are(nodes: &Nodes, expected: &[&str]) -> Result<()> {
    wait::until("the endpoints", DEADLINE, async || {
        let addresses = addresses(nodes).await?;
        ensure!(addresses == expected, "{addresses:?}");
        Ok(())
    })
    .await
}
