//! Commands to try while the demo stays up.

use anyhow::Result;
use harness::stack::Stack;

use super::peers::Peers;
use super::story::Kinds;

/// Prints commands that can be pasted as they stand.
pub fn print(peers: &Peers, stack: &Stack, kinds: &Kinds) -> Result<()> {
    let url = stack.url();
    let (skewed, (_, resource)) = (&kinds.skewed, kinds.resource());
    let access = peers.access(&url)?;
    let (ca, kubeconfig) = (access.ca.display(), access.kubeconfig.display());
    let curl = format!("curl --cacert {ca} -H 'Authorization: Bearer {}'", access.token);
    println!("\nEverything stays up until Ctrl-C. Try, in another terminal:\n");
    println!("  # The type of one server, as often as you like:");
    println!("  {curl} {url}{skewed}");
    for (name, address) in peers.addresses() {
        println!("  # … and {name} itself:");
        println!("  {curl} https://{address}{skewed}");
    }
    println!("  # kubectl through Envoy:");
    println!("  kubectl --kubeconfig {kubeconfig} get {resource}");
    println!("  kubectl --kubeconfig {kubeconfig} get configmaps --all-namespaces");
    println!("  # What the companion pushed, and what it thinks of the servers:");
    println!("  curl -s http://127.0.0.1:{}/v1/map", stack.companion.port());
    println!("  curl -s http://127.0.0.1:{}/v1/peers", stack.companion.port());
    println!("  # What the filter decided:");
    let metrics = format!("http://127.0.0.1:{}/stats/prometheus", stack.envoy.admin_port());
    println!("  curl -s {metrics} | grep ^mixed_version_proxy");
    Ok(())
}
