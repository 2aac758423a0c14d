# shellcheck shell=bash
# What the scripts beside this file share. NODE is this node's address.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
kubernetes=/etc/kubernetes
manifests=$kubernetes/manifests
export KUBECONFIG="${KUBECONFIG:-$kubernetes/admin.conf}"

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# require_variables NAME…
require_variables() {
    local name
    for name in "$@"; do
        [ "${!name:-}" ] || fail "set $name"
    done
}

# require_programs NAME…
require_programs() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || fail "$name is not in PATH"
    done
}

# wait_until WHAT COMMAND…: waits until the command succeeds. WHAT is a sentence.
wait_until() {
    local what=$1 end=$((SECONDS + 120))
    shift
    echo "waiting until $what"
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "gave up after two minutes: waited until $what"
        sleep 0.2
    done
}

is_free() { ! (: <"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }
server_is_ready() { curl -fs -o /dev/null --cacert $kubernetes/pki/ca.crt "https://$NODE:6443/readyz"; }

# Whether this node's API server listens on loopback only.
is_on_loopback() { grep -q -- --bind-address=127.0.0.1 $manifests/kube-apiserver.yaml; }

# read_cluster: writes kubeadm's configuration of the cluster to $work/cluster.yaml. It asks this
# node's API server, with Envoy in its place or without.
read_cluster() {
    kubectl --server https://127.0.0.1:6443 --tls-server-name kubernetes -n kube-system \
        get configmap kubeadm-config -o jsonpath='{.data.ClusterConfiguration}' >"$work/cluster.yaml"
}

# store_cluster: has kubeadm use $work/cluster.yaml from now on.
store_cluster() {
    kubeadm init phase upload-config kubeadm --config "$work/cluster.yaml"
    read_cluster
}

# write_api_server [LINE]: has kubeadm write the API server's manifest, with a further line of
# its InitConfiguration.
write_api_server() {
    {
        echo 'apiVersion: kubeadm.k8s.io/v1beta4'
        echo 'kind: InitConfiguration'
        echo "localAPIEndpoint: { advertiseAddress: \"$NODE\", bindPort: 6443 }"
        echo "${1:-}"
        echo ---
        cat "$work/cluster.yaml"
    } >"$work/node.yaml"
    kubeadm init phase control-plane apiserver --config "$work/node.yaml"
}

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
