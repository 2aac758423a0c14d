//! Manifests of static pods for control-plane nodes of kubeadm: Envoy, and the companion beside it.
//!
//! They are two pods, so that a new image of one does not restart the other. Both have the host's
//! network and root's files, as kubeadm's own static pods, and no privilege beyond these. What they
//! run is configured by the files of `envoy-config/control-plane-node`.

use clap::ValueEnum;
use serde_json::{Value, json};

/// A program that has a static pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// Envoy.
    Envoy,
    /// The companion.
    Companion,
}

const CONFIGURATION: &str = "/etc/mixed-version-proxy";
const PKI: &str = "/etc/kubernetes/pki";
const DATA: &str = "/var/lib/mixed-version-proxy";

/// Returns the manifest of a program's static pod with this image, as JSON, which is YAML too.
pub fn static_pod(program: Program, image: &str) -> Value {
    let (name, command, port, volumes) = match program {
        Program::Envoy => (
            "mixed-version-envoy",
            // Another Envoy of the host, such as that of a network plugin, may have the same ID
            // for hot restarts.
            json!([
                "/usr/local/bin/envoy",
                "-c",
                format!("{CONFIGURATION}/envoy.yaml"),
                "--disable-hot-restart",
            ]),
            9901,
            // Envoy reads what the companion has written, and no key of kubeadm's by itself.
            vec![("configuration", CONFIGURATION, true), ("data", DATA, true)],
        ),
        Program::Companion => (
            "mixed-version-companion",
            json!([
                "/usr/local/bin/mixed-version-companion",
                "run",
                "--config",
                format!("{CONFIGURATION}/companion.yaml"),
            ]),
            9902,
            vec![("configuration", CONFIGURATION, true), ("pki", PKI, true), ("data", DATA, false)],
        ),
    };
    let mount = |(name, path, read_only): &(&str, &str, bool)| json!({ "name": name, "mountPath": path, "readOnly": read_only });
    let volume = |(name, path, read_only): &(&str, &str, bool)| {
        // Only what the companion writes may be missing at first.
        let kind = if *read_only && *name != "data" { "Directory" } else { "DirectoryOrCreate" };
        json!({ "name": name, "hostPath": { "path": path, "type": kind } })
    };
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": { "app.kubernetes.io/name": name, "tier": "control-plane" },
        },
        "spec": {
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": name,
                "image": image,
                "command": command,
                "livenessProbe": probe(program, port),
                "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
                "securityContext": {
                    // kubeadm's keys are root's.
                    "runAsUser": 0,
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
                "volumeMounts": volumes.iter().map(mount).collect::<Vec<_>>(),
            }],
            "volumes": volumes.iter().map(volume).collect::<Vec<_>>(),
        },
    })
}

/// Returns whether the program itself answers, on loopback. Envoy is not ready while it waits for
/// the companion's files, and a restart would not help.
fn probe(program: Program, port: u16) -> Value {
    let path = match program {
        Program::Envoy => "/server_info",
        Program::Companion => "/healthz",
    };
    json!({
        "httpGet": { "host": "127.0.0.1", "port": port, "path": path },
        "initialDelaySeconds": 10,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "failureThreshold": 6,
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::Value;

    use super::{Program, static_pod};

    #[test]
    fn a_manifest_has_no_field_that_a_pod_does_not_have() {
        for program in [Program::Envoy, Program::Companion] {
            let manifest = static_pod(program, "registry.example/image:1");
            let pod: Pod = serde_json::from_value(manifest.clone()).unwrap();
            assert_eq!(serde_json::to_value(&pod).unwrap(), manifest);
            let spec = pod.spec.unwrap();
            assert_eq!(spec.containers[0].image.as_deref(), Some("registry.example/image:1"));
            assert_eq!(spec.host_network, Some(true));
            let mounted = spec.containers[0].volume_mounts.iter().flatten();
            let volumes = spec.volumes.iter().flatten();
            assert!(mounted.map(|mount| &mount.name).eq(volumes.map(|volume| &volume.name)));
        }
    }

    #[test]
    fn only_the_companion_reads_the_keys_of_kubeadm_and_only_it_writes() {
        let mounts = |program| {
            let manifest = static_pod(program, "image");
            manifest.pointer("/spec/containers/0/volumeMounts").cloned().unwrap()
        };
        let writes = |mount: &Value| mount.get("readOnly") == Some(&Value::Bool(false));
        let envoy = mounts(Program::Envoy);
        assert!(!envoy.to_string().contains("/etc/kubernetes"), "{envoy}");
        assert!(!envoy.as_array().unwrap().iter().any(writes), "{envoy}");
        let companion = mounts(Program::Companion);
        assert_eq!(companion.as_array().unwrap().iter().filter(|mount| writes(mount)).count(), 1);
    }
}
