//! The programs under test, named by environment variables that `make` sets
//! after it has built them, so that no test runs against a stale build.

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result};
use fake_apiserver::Version;

/// A program or file that the tests run, made by a target of the Makefile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Artifact {
    /// The Envoy binary (`MVP_ENVOY`).
    Envoy,
    /// The func-e binary, which runs Envoy (`MVP_FUNC_E`).
    FuncE,
    /// The filter as it ships, a wasm module (`MVP_FILTER`).
    Filter,
    /// The same, but it traps on a request for `/trap` (`MVP_FILTER_TRAP`).
    FilterTrap,
    /// The companion binary (`MVP_COMPANION`).
    Companion,
    /// The binary that holds etcd, kube-apiserver, kube-controller-manager,
    /// kube-scheduler and kubectl of a version (`MVP_CONTROL_PLANE_1_35`, …).
    ControlPlane(Version),
    /// kubeadm of a version (`MVP_KUBEADM_1_37`, …).
    Kubeadm(Version),
    /// Kubernetes' own end-to-end suite of a version (`MVP_E2E_SUITE_1_36`, …),
    /// beside the program `ginkgo` that runs it.
    EndToEndSuite(Version),
    /// KWOK (`MVP_KWOK`), beside the file of its stages.
    Kwok,
    /// The folder of image layouts (`MVP_IMAGES`).
    Images,
    /// crane, a registry and its client (`MVP_CRANE`).
    Crane,
    /// Envoy Gateway (`MVP_ENVOY_GATEWAY`), beside the file of its definitions.
    EnvoyGateway,
    /// istiod (`MVP_ISTIOD`), beside the file of its definitions.
    Istiod,
    /// Prometheus (`MVP_PROMETHEUS`).
    Prometheus,
    /// Chromium (`MVP_CHROMIUM`).
    Chromium,
    /// axe-core, as a script for a page (`MVP_AXE`).
    Axe,
    /// Helm (`MVP_HELM`).
    Helm,
    /// Kustomize (`MVP_KUSTOMIZE`).
    Kustomize,
    /// kubeconform (`MVP_KUBECONFORM`), beside the folders `schemas` and `crds`.
    Kubeconform,
    /// The stand-in for a kubelet that forwards ports (`MVP_KUBELET_FORWARDER`).
    KubeletForwarder,
    /// The folder with Kubernetes' own discovery documents (`MVP_DISCOVERY_DOCUMENTS`).
    DiscoveryDocuments,
}

impl Artifact {
    /// Returns the environment variable that names the file.
    pub fn variable(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Envoy => "MVP_ENVOY",
            Self::FuncE => "MVP_FUNC_E",
            Self::Filter => "MVP_FILTER",
            Self::FilterTrap => "MVP_FILTER_TRAP",
            Self::Companion => "MVP_COMPANION",
            Self::Kwok => "MVP_KWOK",
            Self::Images => "MVP_IMAGES",
            Self::Crane => "MVP_CRANE",
            Self::EnvoyGateway => "MVP_ENVOY_GATEWAY",
            Self::Istiod => "MVP_ISTIOD",
            Self::Prometheus => "MVP_PROMETHEUS",
            Self::Chromium => "MVP_CHROMIUM",
            Self::Axe => "MVP_AXE",
            Self::Helm => "MVP_HELM",
            Self::Kustomize => "MVP_KUSTOMIZE",
            Self::Kubeconform => "MVP_KUBECONFORM",
            Self::KubeletForwarder => "MVP_KUBELET_FORWARDER",
            Self::DiscoveryDocuments => "MVP_DISCOVERY_DOCUMENTS",
            Self::ControlPlane(version) => return of_version("MVP_CONTROL_PLANE", version),
            Self::Kubeadm(version) => return of_version("MVP_KUBEADM", version),
            Self::EndToEndSuite(version) => return of_version("MVP_E2E_SUITE", version),
        })
    }

    /// Returns the path of the artifact. Fails if the variable is not set or
    /// does not name a file; the message says which `make` target sets it.
    pub fn path(self) -> Result<PathBuf> {
        let variable = self.variable();
        let value = std::env::var_os(&*variable).with_context(|| {
            format!("{variable} is not set: run the tests by `make test` or `make conformance`, or source `make env`")
        })?;
        let path = PathBuf::from(value);
        anyhow::ensure!(path.exists(), "{variable}: {} does not exist", path.display());
        Ok(path)
    }
}

fn of_version(variable: &str, version: Version) -> Cow<'static, str> {
    Cow::Owned(format!("{variable}_{}", version.as_str().replace('.', "_")))
}

/// Returns the folder `integration` of the checkout.
pub fn integration_folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
