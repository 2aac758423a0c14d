//! The forms of `User-Agent`: those that components send, those that look like them, and those that
//! nobody sends in good faith.

use proptest::prelude::*;

use super::Component::{KubeControllerManager, KubeProxy, KubeScheduler, Kubelet};
use super::{Component, ComponentVersion};

/// A header's value; the component and its minor version, if it is one.
type Form = (&'static str, Option<(Component, &'static str)>);

/// `DefaultKubernetesUserAgent` (client-go, `rest/config.go`): `adjustCommand`, `adjustVersion` and
/// `adjustCommit` make the program, the version up to its first `-`, and seven digits of the commit.
/// The file name of a Windows binary is `kubelet.exe`.
const PLAIN: [Form; 16] = [
    ("kubelet/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", Some((Kubelet, "1.37"))),
    ("kubelet/v1.36.3 (linux/arm64) kubernetes/1a2b3c4", Some((Kubelet, "1.36"))),
    ("kubelet/v1.37.0 (linux/ppc64le) kubernetes/2d1e9d2", Some((Kubelet, "1.37"))),
    ("kubelet/v1.37.0 (linux/s390x) kubernetes/2d1e9d2", Some((Kubelet, "1.37"))),
    ("kubelet.exe/v1.37.0 (windows/amd64) kubernetes/2d1e9d2", Some((Kubelet, "1.37"))),
    ("kubelet/v1.9.11 (linux/amd64) kubernetes/1bfeeb6", Some((Kubelet, "1.9"))),
    ("kube-proxy/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", Some((KubeProxy, "1.37"))),
    ("kube-proxy/v1.35.4 (linux/arm64) kubernetes/9f8e7d6", Some((KubeProxy, "1.35"))),
    ("kube-proxy.exe/v1.36.3 (windows/amd64) kubernetes/1a2b3c4", Some((KubeProxy, "1.36"))),
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2",
        Some((KubeControllerManager, "1.37")),
    ),
    ("kube-scheduler/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", Some((KubeScheduler, "1.37"))),
    ("kube-scheduler/v1.34.0 (darwin/arm64) kubernetes/1a2b3c4", Some((KubeScheduler, "1.34"))),
    // Built without the flags that set the version and the commit (`base.go` of component-base).
    ("kubelet/v0.0.0 (linux/amd64) kubernetes/$Format", Some((Kubelet, "0.0"))),
    ("kube-scheduler/v0.0.0 (linux/amd64) kubernetes/$Format", Some((KubeScheduler, "0.0"))),
    ("kubelet/unknown (linux/amd64) kubernetes/unknown", None),
    ("unknown/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", None),
];

/// What `AddUserAgent` and `UserAgentName` of a component append after a slash: the leader election
/// and the informers (`cmd/kube-controller-manager/app/controllermanager.go`,
/// `cmd/kube-scheduler/app/options/options.go`), a client for each controller
/// (`controller-manager/pkg/clientbuilder`), and its service account.
const SUFFIXED: [Form; 16] = [
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/leader-election",
        Some((KubeControllerManager, "1.37")),
    ),
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/shared-informers",
        Some((KubeControllerManager, "1.37")),
    ),
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/metadata-informers",
        Some((KubeControllerManager, "1.37")),
    ),
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/kube-controller-manager",
        Some((KubeControllerManager, "1.37")),
    ),
    (
        "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/controller-discovery",
        Some((KubeControllerManager, "1.36")),
    ),
    (
        "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/system:serviceaccount:kube-system:generic-garbage-collector",
        Some((KubeControllerManager, "1.36")),
    ),
    (
        "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/system:serviceaccount:kube-system:namespace-controller",
        Some((KubeControllerManager, "1.36")),
    ),
    (
        "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/system:serviceaccount:kube-system:job-controller",
        Some((KubeControllerManager, "1.36")),
    ),
    (
        "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/system:serviceaccount:kube-system:resourcequota-controller",
        Some((KubeControllerManager, "1.36")),
    ),
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/tokens-controller",
        Some((KubeControllerManager, "1.37")),
    ),
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/horizontal-pod-autoscaler",
        Some((KubeControllerManager, "1.37")),
    ),
    (
        "kube-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/system:serviceaccount:kube-system:endpointslice-controller",
        Some((KubeControllerManager, "1.37")),
    ),
    (
        "kube-scheduler/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/scheduler",
        Some((KubeScheduler, "1.37")),
    ),
    (
        "kube-scheduler/v1.37.2 (linux/amd64) kubernetes/2d1e9d2/leader-election",
        Some((KubeScheduler, "1.37")),
    ),
    (
        "kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/system:serviceaccount:kube-system:replicaset-controller",
        Some((KubeControllerManager, "1.36")),
    ),
    (
        "kube-scheduler/v1.36.3 (linux/amd64) kubernetes/1a2b3c4/scheduler",
        Some((KubeScheduler, "1.36")),
    ),
];

/// Pre-releases and what distributors append (`git describe` of k8s.io/kubernetes; EKS, GKE, AKS,
/// k3s, RKE2, OpenShift, VMware, Talos). client-go cuts them at `-`; whoever sets the header
/// himself (`--user-agent`, `rest.Config.UserAgent`) need not.
const DISTRIBUTED: [Form; 16] = [
    ("kubelet/v1.37.0-rc.1 (linux/amd64) kubernetes/2d1e9d2", Some((Kubelet, "1.37"))),
    ("kubelet/v1.37.0-alpha.3 (linux/amd64) kubernetes/2d1e9d2", Some((Kubelet, "1.37"))),
    ("kubelet/v1.37.0-beta.0 (linux/amd64) kubernetes/2d1e9d2", Some((Kubelet, "1.37"))),
    (
        "kubelet/v1.38.0-alpha.0.123+4d5e6f708192a3 (linux/amd64) kubernetes/4d5e6f7",
        Some((Kubelet, "1.38")),
    ),
    (
        "kubelet/v1.36.4-rc.0.12+4d5e6f708192a3-dirty (linux/amd64) kubernetes/4d5e6f7",
        Some((Kubelet, "1.36")),
    ),
    ("kubelet/v1.36.3-eks-1a2b3c4 (linux/amd64) kubernetes/1a2b3c4", Some((Kubelet, "1.36"))),
    ("kubelet/v1.36.3-gke.1234000 (linux/amd64) kubernetes/1a2b3c4", Some((Kubelet, "1.36"))),
    ("kubelet/v1.36.3-aliyun.1 (linux/amd64) kubernetes/1a2b3c4", Some((Kubelet, "1.36"))),
    ("kubelet/v1.36.3+k3s1 (linux/amd64) kubernetes/1a2b3c4", Some((Kubelet, "1.36"))),
    ("kubelet/v1.36.3+rke2r1 (linux/amd64) kubernetes/1a2b3c4", Some((Kubelet, "1.36"))),
    ("kubelet/v1.36.3+5f3ab12 (linux/amd64) kubernetes/5f3ab12", Some((Kubelet, "1.36"))),
    ("kubelet/v1.36.3+vmware.1 (linux/amd64) kubernetes/1a2b3c4", Some((Kubelet, "1.36"))),
    ("kube-proxy/v1.36.3-eks-1a2b3c4 (linux/amd64) kubernetes/1a2b3c4", Some((KubeProxy, "1.36"))),
    ("kube-proxy/v1.36.3+k3s1 (linux/amd64) kubernetes/1a2b3c4", Some((KubeProxy, "1.36"))),
    (
        "kube-controller-manager/v1.37.0-rc.1 (linux/amd64) kubernetes/2d1e9d2/shared-informers",
        Some((KubeControllerManager, "1.37")),
    ),
    ("kube-scheduler/v1.37.0-rc.1 (linux/amd64) kubernetes/2d1e9d2", Some((KubeScheduler, "1.37"))),
];

/// Clients that the policy does not name: they follow the answering version.
const OTHERS: [Form; 15] = [
    ("kubectl/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", None),
    ("kubectl-skew/0.1.0", None),
    ("kubeadm/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", None),
    ("kube-apiserver/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", None),
    ("cloud-controller-manager/v1.37.2 (linux/amd64) kubernetes/2d1e9d2", None),
    ("kube-probe/1.37", None),
    ("kube-state-metrics/v2.17.0 (linux/amd64) kube-state-metrics/abcdef0", None),
    ("kube-router/v2.6.0 (linux/amd64) kubernetes/$Format", None),
    ("kubelet-csr-approver/v1.2.3 (linux/amd64) kubernetes/$Format", None),
    // One process with all components (k3s) says what it is itself.
    ("k3s/v1.36.3+k3s1 (linux/amd64) kubernetes/1a2b3c4", None),
    ("hyperkube/v1.18.0 (linux/amd64) kubernetes/9e99141", None),
    ("Go-http-client/2.0", None),
    ("curl/8.14.1", None),
    ("OpenAPI-Generator/31.0.0/python", None),
    ("", None),
];

/// What nobody sends in good faith, and what is only nearly a version.
const HOSTILE: [Form; 32] = [
    ("kubelet", None),
    ("kubelet/", None),
    ("kubelet/v", None),
    ("kubelet/v1", None),
    ("kubelet/v1.", None),
    ("kubelet/v1. 37", None),
    ("kubelet/v1.37", Some((Kubelet, "1.37"))),
    ("kubelet/v1.37.", Some((Kubelet, "1.37"))),
    ("kubelet/1.37.0 (linux/amd64) kubernetes/2d1e9d2", None),
    ("kubelet/V1.37.0", None),
    ("Kubelet/v1.37.0", None),
    ("KUBELET/v1.37.0", None),
    (" kubelet/v1.37.0", None),
    ("kubelet /v1.37.0", None),
    ("kubelet//v1.37.0", None),
    ("kubelet/v1.37.0/v1.38.0", Some((Kubelet, "1.37"))),
    ("kubectl/v1.36.0 kubelet/v1.37.0", None),
    ("curl/8 (kubelet/v1.37.0)", None),
    ("kubelet\0/v1.37.0", None),
    ("kubelet/v1.37\0", None),
    ("kubelet/v1.037.0", None),
    ("kubelet/v01.37.0", None),
    ("kubelet/v+1.37.0", None),
    ("kubelet/v1.-37.0", None),
    ("kubelet/v1.3e1.0", None),
    ("kubelet/v1.37rc1", None),
    ("kubelet/v1.65535.0", Some((Kubelet, "1.65535"))),
    ("kubelet/v1.65536.0", None),
    ("kubelet/v99999999999999999999.37.0", None),
    ("kubelet/v1.99999999999999999999999999999999999999999999", None),
    ("kubelet/v１.37.0", None),
    ("kube-proxy-v1.37.0/kubelet/v1.37.0", None),
];

fn read(value: &[u8]) -> Option<(Component, String)> {
    let found = ComponentVersion::of_user_agent(value)?;
    Some((found.component, found.version.to_string()))
}

#[test]
fn every_form_is_read_as_its_source_writes_it() {
    let forms = [&PLAIN[..], &SUFFIXED, &DISTRIBUTED, &OTHERS, &HOSTILE].concat();
    assert!(forms.len() >= 70, "{}", forms.len());
    for (value, expected) in forms {
        let expected = expected.map(|(component, version)| (component, version.to_owned()));
        assert_eq!(read(value.as_bytes()), expected, "{value:?}");
    }
}

#[test]
fn bytes_that_are_not_text_are_not_a_component() {
    for value in [&b"kubelet/v1.\xff37"[..], b"\xffkubelet/v1.37.0", b"kube\xc3\x28/v1.37.0", b"\0"]
    {
        assert_eq!(read(value), None, "{value:?}");
    }
    let after_the_version = b"kubelet/v1.37.0 (\xff\xfe)";
    assert_eq!(read(after_the_version), Some((Kubelet, "1.37".to_owned())));
}

#[test]
fn labels_are_words_and_differ() {
    let labels: std::collections::BTreeSet<_> =
        Component::ALL.iter().map(|component| component.label()).collect();
    assert_eq!(labels.len(), Component::ALL.len());
    assert!(labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    for (position, component) in Component::ALL.into_iter().enumerate() {
        assert_eq!(component as usize, position);
    }
}

proptest! {
    #[test]
    fn what_client_go_writes_is_read(
        component in prop::sample::select(Component::ALL.to_vec()),
        numbers: [u16; 3],
        exe in prop::sample::select(vec!["", ".exe"]),
        appended in "([-+][a-z0-9.+-]{0,20})?",
        rest in "( \\([a-z]{1,8}/[a-z0-9]{1,8}\\) kubernetes/[0-9a-f]{7}(/[a-z:-]{0,20})?)?",
    ) {
        let [major, minor, patch] = numbers;
        let name = component.as_str();
        let value = format!("{name}{exe}/v{major}.{minor}.{patch}{appended}{rest}");
        let expected = Some((component, format!("{major}.{minor}")));
        prop_assert_eq!(read(value.as_bytes()), expected);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, start in "kube[a-z-]{0,20}/v?[0-9.]{0,8}") {
        let value = [start.as_bytes(), &bytes].concat();
        let _ = read(&bytes);
        // Only a known program is a component.
        if let Some((component, version)) = read(&value) {
            let begins = format!("{}/v{version}", component.as_str());
            let begins_exe = format!("{}.exe/v{version}", component.as_str());
            prop_assert!(
                value.starts_with(begins.as_bytes()) || value.starts_with(begins_exe.as_bytes())
            );
        }
    }
}
