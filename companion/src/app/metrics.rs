//! All metrics of the companion: each area makes and registers its own.

use std::sync::Arc;

use prometheus_client::metrics::info::Info;

use super::indexer::metrics::IndexMetrics;
use crate::ads::metrics::AdsMetrics;
use crate::directory::metrics::DirectoryMetrics;
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
            registry: Arc::new(registry),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;
    use crate::facts::PeerStatus;
    use crate::metrics::exposition;
    use crate::open_api::metrics::ReadOutcome;
    use crate::secrets::metrics::SecretLabel;
    use crate::sources::{SourceKind, SourceState, SourceStatus};
    use api_discovery::MinorVersion;
    use discovery_map::PeerState;

    /// The table that operators read.
    const DOCUMENT: &str = include_str!("../../../docs/operations/metrics.md");

    /// Touches every metric with every value of its labels.
    fn touch(main: &MainMetrics, metrics: &ControlPlaneMetrics) {
        let peer = "cp-1".parse().unwrap();
        use PeerState::{NotReady, Serving, Unreachable};
        for outcome in [Some(Serving), Some(NotReady), Some(Unreachable), None] {
            metrics.poll.polled(&peer, outcome, Duration::ZERO);
        }
        metrics.poll.discovery_failed(&peer);
        metrics.poll.discovery_changed(&peer);
        metrics.open_api.merged();
        for outcome in [ReadOutcome::Succeeded, ReadOutcome::Failed, ReadOutcome::Unusable] {
            metrics.open_api.read(outcome);
        }
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
        metrics.index.snapshot(false, 0, true);
        for succeeded in [true, false] {
            metrics.publish.pushed(succeeded, Duration::ZERO);
            main.reload.reloaded(succeeded);
        }
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
            metrics.sources.failed(kind);
        }
        main.ads.touch();
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

    /// Returns each metric with its labels and type, such as
    /// `polls_total{outcome,peer} counter`, and the values of its labels.
    fn exposed(text: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        let mut kind = "";
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                kind = described.split(' ').nth(1).unwrap();
            }
            let Some(sample) = line.strip_prefix("mixed_version_companion_") else { continue };
            let (series, _) = sample.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let name = match kind {
                "histogram" => name.rsplit_once('_').unwrap().0,
                _ => name,
            };
            let labels = labels.trim_end_matches('}').split(',').filter_map(|l| l.split_once('='));
            let labels: BTreeMap<_, _> = labels.filter(|(label, _)| *label != "le").collect();
            let names = Vec::from_iter(labels.keys().copied()).join(",");
            let names = if names.is_empty() { names } else { format!("{{{names}}}") };
            let values = found.entry(format!("{name}{names} {kind}")).or_default();
            let is_closed = |label: &&str| !["peer", "version"].contains(label);
            let closed = labels.iter().filter(|(label, _)| is_closed(label));
            values.extend(closed.map(|(_, value)| value.trim_matches('"').to_owned()));
        }
        found
    }

    /// Returns the same of the rows in the document.
    fn documented() -> BTreeMap<String, String> {
        let table = DOCUMENT.split("## Companion:").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let mut cells = row.split('|').skip(1).map(str::trim);
            let (metric, kind) = (cells.next().unwrap().trim_matches('`'), cells.next().unwrap());
            let (name, labels) = metric.split_once('{').unwrap_or((metric, ""));
            let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
            labels.sort_unstable();
            let labels = labels.join(",");
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            (format!("{name}{labels} {kind}"), cells.collect())
        })
        .collect()
    }

    #[test]
    fn the_document_lists_every_metric_and_every_label_value() {
        let (main, control_plane) = (MainMetrics::new(), ControlPlaneMetrics::new(None));
        touch(&main, &control_plane);
        let text = exposition([&*main.registry, &*control_plane.registry]).unwrap();
        let (exposed, documented) = (exposed(&text), documented());
        assert!(exposed.keys().eq(documented.keys()), "{exposed:#?}\n{documented:#?}");
        for ((metric, values), meaning) in exposed.iter().zip(documented.values()) {
            for value in values {
                assert!(meaning.contains(&format!("`{value}`")), "{metric}: {value}");
            }
        }
    }
}
