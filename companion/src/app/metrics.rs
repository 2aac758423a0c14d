//! All metrics of the companion: each area makes and registers its own.

use std::sync::Arc;

use prometheus_client::metrics::info::Info;

use super::indexer::metrics::IndexMetrics;
use crate::ads::metrics::AdsMetrics;
use crate::directory::metrics::DirectoryMetrics;
use crate::kubernetes_events::metrics::KubernetesEventsMetrics;
use crate::metrics::{Registry, registry};
use crate::open_api::metrics::OpenApiMetrics;
use crate::poll::metrics::PollMetrics;
use crate::publish::metrics::PublishMetrics;
use crate::reload::ReloadMetrics;
use crate::secrets::metrics::SecretMetrics;
use crate::sources::metrics::SourceMetrics;

/// The metrics that the companion has once.
pub(super) struct MainMetrics {
    pub secrets: SecretMetrics,
    pub ads: AdsMetrics,
    pub reload: ReloadMetrics,
    pub directory: DirectoryMetrics,
    pub registry: Arc<Registry>,
}

/// The metrics of a control plane, in a registry that goes with it.
pub(super) struct ControlPlaneMetrics {
    pub poll: PollMetrics,
    pub open_api: OpenApiMetrics,
    pub index: IndexMetrics,
    pub publish: PublishMetrics,
    pub secrets: SecretMetrics,
    pub sources: SourceMetrics,
    pub kubernetes_events: KubernetesEventsMetrics,
    pub registry: Arc<Registry>,
}

impl MainMetrics {
    pub(super) fn new() -> Self {
        let mut registry = registry(None);
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the companion", build);
        let r = &mut registry;
        Self {
            secrets: SecretMetrics::new(r),
            ads: AdsMetrics::new(r),
            reload: ReloadMetrics::new(r),
            directory: DirectoryMetrics::new(r),
            registry: Arc::new(registry),
        }
    }
}

impl ControlPlaneMetrics {
    /// Returns the metrics of a control plane, with its name as a label if it is one of many.
    pub(super) fn new(name: Option<&str>) -> Self {
        let mut registry = registry(name);
        let r = &mut registry;
        Self {
            poll: PollMetrics::new(r),
            open_api: OpenApiMetrics::new(r),
            index: IndexMetrics::new(r),
            publish: PublishMetrics::new(r),
            secrets: SecretMetrics::new(r),
            sources: SourceMetrics::new(r),
            kubernetes_events: KubernetesEventsMetrics::new(r),
            registry: Arc::new(registry),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::facts::PeerStatus;
    use crate::metrics::{exposition, table};
    use crate::secrets::metrics::SecretLabel;
    use crate::sources::{SourceKind, SourceState, SourceStatus};
    use api_discovery::MinorVersion;
    use discovery_map::{Mode, PeerState};

    /// Touches every metric that is not exposed from the start, with every value of its labels.
    fn touch(main: &MainMetrics, metrics: &ControlPlaneMetrics) {
        let peer = "cp-1".parse().unwrap();
        use PeerState::{NotReady, Serving, Unreachable};
        for outcome in [Some(Serving), Some(NotReady), Some(Unreachable), None] {
            metrics.poll.polled(&peer, outcome, Duration::ZERO);
        }
        metrics.poll.discovery_failed(&peer);
        metrics.poll.discovery_changed(&peer);
        metrics.index.peers(&[PeerStatus {
            name: peer.to_string(),
            address: ([127, 0, 0, 1], 6443).into(),
            state: Serving,
            left: false,
            forgotten: false,
            version: None,
            minor_version: None,
            answering: true,
            discovery_known: true,
            types: 1,
            last_answer_seconds_ago: None,
            absent_seconds: 0,
            last_error: None,
        }]);
        let [older, newer] = [36, 37].map(|minor| Some(MinorVersion::new(1, minor)));
        metrics.index.answering(older, newer);
        metrics.index.mode(Mode::Enforce);
        metrics.index.snapshot(false, 0, true);
        use SourceKind::{Dns, EndpointSlices, Static};
        for kind in [Static, Dns, EndpointSlices] {
            let status = SourceStatus {
                kind,
                state: SourceState::Fresh,
                since_unix_seconds: 1,
                last_success_unix_seconds: Some(1),
                last_error: None,
                peers: Vec::new(),
            };
            metrics.sources.source(&status);
        }
        main.directory.read(true);
        main.directory.count(&BTreeMap::new(), 0);
        use SecretLabel::{Ads, AdsClientCa, ClientCa, FrontProxy, Listener, PeerCa};
        for secret in [Listener, ClientCa, FrontProxy, PeerCa, Ads, AdsClientCa] {
            metrics.secrets.failed(secret);
        }
        for certificate in [Listener, FrontProxy, Ads] {
            metrics.secrets.expires(certificate, Some(0));
        }
    }

    #[test]
    fn the_document_lists_every_metric_and_every_label_value() {
        let (main, control_plane) = (MainMetrics::new(), ControlPlaneMetrics::new(None));
        touch(&main, &control_plane);
        let text = exposition([&*main.registry, &*control_plane.registry]).unwrap();
        table::compare("## Companion:", &text);
    }
}
