//! Commands to try while the demo stays up.

use std::path::Path;

use harness::stack::Stack;

use super::peers::Peers;
use super::story::Kinds;

/// Prints commands that can be pasted as they stand.
pub fn print(peers: &Peers, stack: &Stack, kinds: &Kinds, folder: &Path) {
    let (url, folder) = (stack.url(), folder.display());
    let (skewed, (_, resource)) = (&kinds.skewed, kinds.resource());
    let companion = format!("http://127.0.0.1:{}", stack.companion.port());
    let curl = format!("curl -K {folder}/curl.conf");
    let kubectl = format!("kubectl --kubeconfig {folder}/kubeconfig");
    println!(
        "\nEverything stays up until Ctrl-C. Its files are in {folder}: docs/tutorial.md goes on"
    );
    println!("from here. Or try, in another terminal:\n");
    println!("  # The type of one server, as often as you like:");
    println!("  {curl} {url}{skewed}");
    for (name, address) in peers.addresses() {
        println!("  # … and {name} itself:");
        println!("  {curl} https://{address}{skewed}");
    }
    println!("  # Which server has which type:");
    println!("  {folder}/bin/kubectl-skew --companion {companion}");
    println!("  # kubectl through Envoy:");
    println!("  {kubectl} get {resource}");
    println!("  {kubectl} get configmaps --all-namespaces");
    println!("  # The companion's status page, and what it pushed:");
    println!("  {companion}/");
    println!("  curl -s {companion}/v1/map");
    println!("  # What the filter decided:");
    let metrics = format!("http://127.0.0.1:{}/stats/prometheus", stack.envoy.admin_port());
    println!("  curl -s {metrics} | grep ^mixed_version_proxy");
}
