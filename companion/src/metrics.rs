//! The companion's own metrics, all called `mixed_version_companion_…`.
//!
//! Every label is a closed set: an enum of this module, or the peers' names,
//! which the configuration closes.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use discovery_map::PeerState;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::absence::Answer;
use crate::config::PeerName;
use crate::facts::{Observation, PeerStatus};
use crate::index::Snapshot;
use crate::publish::Publication;

/// All metrics; clones are the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    polls: Family<PollLabels, Counter>,
    poll_duration: Family<PeerLabel, Histogram, fn() -> Histogram>,
    peer_state: Family<StateLabels, Gauge>,
    peer_types: Family<PeerLabel, Gauge>,
    generation: Gauge,
    complete: Gauge,
    skewed_targets: Gauge,
    serving_sets: Gauge,
    rotation_frozen: Gauge,
    merged_documents: Gauge,
    merged_document_bytes: Gauge,
    conflicts: Gauge,
    discovery_failures: Family<PeerLabel, Counter>,
    discovery_changes: Family<PeerLabel, Counter>,
    absence_answers: Family<AbsenceLabels, Counter>,
    absence_rounds: Counter,
    absence_failures: Family<PeerLabel, Counter>,
    pushes: Family<PushLabels, Counter>,
    push_duration: Histogram,
    last_push: Gauge,
    repairs: Counter,
    reloads: Family<ReloadLabels, Counter>,
    secret_errors: Family<SecretErrorLabels, Counter>,
    certificate_expiry: Family<CertificateLabels, Gauge>,
    header_names: Family<HeaderNamesLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    peer: String,
    outcome: PollOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AbsenceLabels {
    answer: AbsenceAnswer,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    peer: String,
    state: StateLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabels {
    outcome: PushOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    outcome: ReloadOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SecretErrorLabels {
    secret: SecretLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    certificate: SecretLabel,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HeaderNamesLabels {
    source: HeaderNamesSource,
}

/// Enums that are label values, each value with its text.
macro_rules! label_values {
    ($($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal),+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum $name {
                $($(#[$value_doc])* $value,)+
            }

            impl $name {
                /// The value's text.
                #[must_use]
                pub fn as_str(self) -> &'static str {
                    match self {
                        $(Self::$value => $text,)+
                    }
                }
            }

            impl EncodeLabelValue for $name {
                fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                    self.as_str().encode(encoder)
                }
            }
        )+
    };
}

label_values! {
    /// How a round at a peer ended.
    PollOutcome {
        /// It is ready.
        Serving = "serving",
        /// It answers, but not that it is ready.
        NotReady = "not_ready",
        /// It cannot be reached.
        Unreachable = "unreachable",
        /// Nothing was learnt.
        Inconclusive = "inconclusive"
    }
    /// How a push ended.
    PushOutcome {
        /// Everything was written.
        Published = "published",
        /// It will be tried again.
        Failed = "failed"
    }
    /// How a reload of the configuration ended.
    ReloadOutcome {
        /// It is in force.
        Applied = "applied",
        /// The old one is still in force.
        Refused = "refused"
    }
    /// A peer's state.
    StateLabel {
        /// In rotation.
        Serving = "serving",
        /// Out of rotation: not ready.
        NotReady = "not_ready",
        /// Out of rotation: not reachable.
        Unreachable = "unreachable"
    }
    /// A secret that is published for Envoy.
    SecretLabel {
        /// What Envoy shows its clients.
        Listener = "listener",
        /// What verifies the clients' certificates.
        ClientCa = "client_ca",
        /// The front-proxy client certificate.
        FrontProxy = "front_proxy",
        /// What verifies the peers' certificates.
        PeerCa = "peer_ca"
    }
    /// What is known of a type after every peer was asked.
    AbsenceAnswer {
        /// Nobody serves it.
        Absent = "absent",
        /// Somebody does.
        Served = "served",
        /// A peer could not be asked.
        Unclear = "unclear"
    }
    /// Where the names of the identity headers come from.
    HeaderNamesSource {
        /// From the cluster itself.
        ConfigMap = "configmap",
        /// From the companion's configuration alone.
        Configuration = "configuration"
    }
}

impl PollOutcome {
    /// The outcome that an observation is.
    #[must_use]
    pub fn of(observation: &Observation) -> Self {
        match observation {
            Observation::Serving { .. } | Observation::Discovered { .. } => Self::Serving,
            Observation::NotReady { .. } => Self::NotReady,
            Observation::Unreachable { .. } => Self::Unreachable,
            Observation::Inconclusive { .. } => Self::Inconclusive,
        }
    }
}

impl AbsenceAnswer {
    /// The label of an answer.
    #[must_use]
    pub fn of(answer: Answer) -> Self {
        match answer {
            Answer::Absent => Self::Absent,
            Answer::Served => Self::Served,
            Answer::Unclear => Self::Unclear,
        }
    }
}

const STATES: [(PeerState, StateLabel); 3] = [
    (PeerState::Serving, StateLabel::Serving),
    (PeerState::NotReady, StateLabel::NotReady),
    (PeerState::Unreachable, StateLabel::Unreachable),
];

fn poll_histogram() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            polls: Family::default(),
            poll_duration: Family::new_with_constructor(poll_histogram),
            peer_state: Family::default(),
            peer_types: Family::default(),
            generation: Gauge::default(),
            complete: Gauge::default(),
            skewed_targets: Gauge::default(),
            serving_sets: Gauge::default(),
            rotation_frozen: Gauge::default(),
            merged_documents: Gauge::default(),
            merged_document_bytes: Gauge::default(),
            conflicts: Gauge::default(),
            discovery_failures: Family::default(),
            discovery_changes: Family::default(),
            absence_answers: Family::default(),
            absence_rounds: Counter::default(),
            absence_failures: Family::default(),
            pushes: Family::default(),
            push_duration: poll_histogram(),
            last_push: Gauge::default(),
            repairs: Counter::default(),
            reloads: Family::default(),
            secret_errors: Family::default(),
            certificate_expiry: Family::default(),
            header_names: Family::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }
}

impl Metrics {
    fn register(&self) -> Registry {
        let mut r = Registry::with_prefix("mixed_version_companion");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        r.register("build", "The companion's version", build);
        r.register("polls", "Rounds at a peer, by how they ended", self.polls.clone());
        let duration = self.poll_duration.clone();
        r.register_with_unit("poll_duration", "How long a round took", Unit::Seconds, duration);
        r.register("peer_state", "1 for the state that a peer is in", self.peer_state.clone());
        let types = self.peer_types.clone();
        r.register("peer_types", "Resources and subresources known of a peer", types);
        let generation = self.generation.clone();
        r.register("map_generation", "Generation of the map published last", generation);
        let complete = self.complete.clone();
        r.register("map_complete", "1 if what the map does not know does not exist", complete);
        let skewed = self.skewed_targets.clone();
        r.register(
            "map_skewed_targets",
            "Resources that not every peer in rotation serves",
            skewed,
        );
        let sets = self.serving_sets.clone();
        r.register("map_serving_sets", "Distinct sets of peers in the map", sets);
        let frozen = self.rotation_frozen.clone();
        r.register("rotation_frozen", "1 while no peer serves and the last rotation stays", frozen);
        r.register("pushes", "Pushes to Envoy, by how they ended", self.pushes.clone());
        let duration = self.push_duration.clone();
        r.register_with_unit("push_duration", "How long a push took", Unit::Seconds, duration);
        let last = self.last_push.clone();
        r.register_with_unit("last_push_timestamp", "When the last push was", Unit::Seconds, last);
        let repairs = self.repairs.clone();
        r.register("repairs", "Times that published files had been changed by others", repairs);
        let reloads = self.reloads.clone();
        r.register("config_reloads", "Changes of the configuration, by how they ended", reloads);
        self.register_documents(&mut r);
        self.register_identity(&mut r);
        r
    }

    fn register_documents(&self, r: &mut Registry) {
        let documents = self.merged_documents.clone();
        r.register("map_merged_documents", "Discovery documents in the map", documents);
        let bytes = self.merged_document_bytes.clone();
        r.register_with_unit(
            "map_merged_documents",
            "Size of the discovery documents in the map, as they travel",
            Unit::Bytes,
            bytes,
        );
        let conflicts = self.conflicts.clone();
        r.register(
            "discovery_conflicts",
            "Resources of which peers say different kinds or scopes",
            conflicts,
        );
        let failures = self.discovery_failures.clone();
        r.register("discovery_failures", "Discovery documents that could not be read", failures);
        let changes = self.discovery_changes.clone();
        r.register("discovery_changes", "Rounds in which a peer's discovery was another", changes);
        let answers = self.absence_answers.clone();
        r.register("absence_questions", "Questions about unknown types, by answer", answers);
        let rounds = self.absence_rounds.clone();
        r.register("absence_rounds", "Rounds in which all peers were asked for that", rounds);
        let failures = self.absence_failures.clone();
        r.register("absence_failures", "Such rounds in which a peer gave no answer", failures);
    }

    fn register_identity(&self, r: &mut Registry) {
        let errors = self.secret_errors.clone();
        r.register("secret_errors", "Looks at the files of a secret that cannot be used", errors);
        let expiry = self.certificate_expiry.clone();
        r.register_with_unit(
            "certificate_expiry_timestamp",
            "When the published certificate is no longer valid",
            Unit::Seconds,
            expiry,
        );
        let names = self.header_names.clone();
        r.register("identity_header_names", "1 for where the names come from", names);
    }

    /// A round at a peer ended.
    pub fn polled(&self, peer: &PeerName, outcome: PollOutcome, duration: Duration) {
        let peer = peer.to_string();
        let label = PeerLabel { peer: peer.clone() };
        self.poll_duration.get_or_create(&label).observe(duration.as_secs_f64());
        self.polls.get_or_create(&PollLabels { peer, outcome }).inc();
    }

    /// Half of a peer's discovery could not be read.
    pub fn discovery_failed(&self, peer: &PeerName) {
        self.discovery_failures.get_or_create(&PeerLabel { peer: peer.to_string() }).inc();
    }

    /// A peer's discovery is another.
    pub fn discovery_changed(&self, peer: &PeerName) {
        self.discovery_changes.get_or_create(&PeerLabel { peer: peer.to_string() }).inc();
    }

    /// Somebody was told whether a type is served by nobody.
    pub fn absence_answered(&self, answer: AbsenceAnswer) {
        self.absence_answers.get_or_create(&AbsenceLabels { answer }).inc();
    }

    /// All peers are asked for that.
    pub fn absence_round(&self) {
        self.absence_rounds.inc();
    }

    /// A peer gave no answer to it.
    pub fn absence_failed(&self, peer: &PeerName) {
        self.absence_failures.get_or_create(&PeerLabel { peer: peer.to_string() }).inc();
    }

    /// A peer is watched no more.
    pub fn forget_peer(&self, peer: &PeerName) {
        let label = PeerLabel { peer: peer.to_string() };
        for outcome in [
            PollOutcome::Serving,
            PollOutcome::NotReady,
            PollOutcome::Unreachable,
            PollOutcome::Inconclusive,
        ] {
            self.polls.remove(&PollLabels { peer: label.peer.clone(), outcome });
        }
        self.poll_duration.remove(&label);
        self.discovery_failures.remove(&label);
        self.discovery_changes.remove(&label);
        self.absence_failures.remove(&label);
    }

    /// The peers are others: what is known of them is said anew.
    pub fn reset_peers(&self) {
        self.peer_state.clear();
        self.peer_types.clear();
    }

    /// What is known of the peers.
    pub fn peers(&self, peers: &[PeerStatus]) {
        for peer in peers {
            for (state, label) in STATES {
                let labels = StateLabels { peer: peer.name.clone(), state: label };
                self.peer_state.get_or_create(&labels).set(i64::from(peer.state == state));
            }
            let label = PeerLabel { peer: peer.name.clone() };
            self.peer_types.get_or_create(&label).set(count(peer.types));
        }
    }

    /// What follows from it.
    pub fn snapshot(&self, snapshot: &Snapshot) {
        self.rotation_frozen.set(i64::from(snapshot.frozen));
        self.conflicts.set(count(snapshot.conflicts.len()));
        let read = snapshot.memory.request_headers.is_some();
        for (source, is) in
            [(HeaderNamesSource::ConfigMap, read), (HeaderNamesSource::Configuration, !read)]
        {
            self.header_names.get_or_create(&HeaderNamesLabels { source }).set(i64::from(is));
        }
    }

    /// A push ended.
    pub fn pushed(&self, outcome: PushOutcome, duration: Duration) {
        self.pushes.get_or_create(&PushLabels { outcome }).inc();
        self.push_duration.observe(duration.as_secs_f64());
    }

    /// A new map is published.
    pub fn publication(&self, publication: &Publication) {
        let document = &publication.document;
        self.generation.set(i64::try_from(document.generation).unwrap_or(i64::MAX));
        self.complete.set(i64::from(document.complete));
        self.skewed_targets.set(count(publication.skewed_targets));
        self.serving_sets.set(count(document.sets.len()));
        self.merged_documents.set(count(document.documents.len()));
        let sizes = document.documents.iter().map(|document| document.gzip.len());
        self.merged_document_bytes.set(count(sizes.sum()));
        let at = publication.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.last_push.set(i64::try_from(at).unwrap_or(i64::MAX));
    }

    /// Published files had to be written anew.
    pub fn repaired(&self) {
        self.repairs.inc();
    }

    /// The configuration's file changed.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.reloads.get_or_create(&ReloadLabels { outcome }).inc();
    }

    /// The files of a secret cannot be used.
    pub fn secret_error(&self, secret: SecretLabel) {
        self.secret_errors.get_or_create(&SecretErrorLabels { secret }).inc();
    }

    /// When a certificate ends (seconds since 1970), if there is one.
    pub fn certificate_expiry(&self, certificate: SecretLabel, at: Option<i64>) {
        let labels = CertificateLabels { certificate };
        match at {
            Some(at) => {
                self.certificate_expiry.get_or_create(&labels).set(at);
            }
            None => {
                self.certificate_expiry.remove(&labels);
            }
        }
    }

    /// Everything in the text format.
    ///
    /// # Errors
    /// None that is known: the buffer is in memory.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut buffer = String::new();
        text::encode(&mut buffer, &self.registry)?;
        Ok(buffer)
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
