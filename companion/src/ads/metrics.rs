//! The metrics of ADS.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::kind::Kind;
use crate::metrics::{Label, Registry, add, add_counters, add_with_unit, durations};

/// The labels of a push.
type PushLabels = [(&'static str, &'static str); 2];

#[derive(Clone, Debug)]
pub struct AdsMetrics {
    pub clients: Gauge,
    pushes: Family<PushLabels, Counter>,
    refused: Family<Label, Counter>,
    answer_duration: Histogram,
}

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    Acknowledged,
    Refused,
    /// It had something of several control planes, was refused, and is repeated in smaller ones.
    Divided,
    /// There was no answer in time.
    Unanswered,
}

/// Why a client gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The handshake failed: mostly, its certificate does not verify.
    Handshake,
    /// Its certificate has no allowed name, or is no longer valid.
    Name,
    /// There are too many streams, connections or handshakes.
    Limit,
    /// The server has no map yet.
    NoMap,
    /// It has other resources than a mirror that no companion confirms.
    Unconfirmed,
    /// The Envoy is too old for the resources.
    Version,
}

impl PushOutcome {
    const ALL: [Self; 4] = [Self::Acknowledged, Self::Refused, Self::Divided, Self::Unanswered];

    fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Divided => "divided",
            Self::Unanswered => "unanswered",
        }
    }
}

impl RefusalReason {
    const ALL: [Self; 6] =
        [Self::Handshake, Self::Name, Self::Limit, Self::NoMap, Self::Unconfirmed, Self::Version];

    fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Name => "name",
            Self::Limit => "limit",
            Self::NoMap => "no_map",
            Self::Unconfirmed => "unconfirmed",
            Self::Version => "version",
        }
    }
}

impl AdsMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let duration = ("ads_ack_duration", Unit::Seconds);
        let help = "Time from a push over ADS to its acknowledgment";
        let refused = "Clients of ADS that are refused, by reason";
        let reasons = RefusalReason::ALL.map(RefusalReason::as_str);
        Self {
            clients: add(r, "ads_clients", "Envoys and mirrors that are served over ADS"),
            pushes: pushes(r),
            refused: add_counters(r, "ads_clients_refused", refused, ("reason", &reasons)),
            answer_duration: add_with_unit(r, duration, help, durations()),
        }
    }

    /// Records the end of a push, and how long it took to be acknowledged.
    pub fn pushed(&self, kind: Kind, outcome: PushOutcome, duration: Duration) {
        self.pushes.get_or_create(&push_labels(kind, outcome)).inc();
        if outcome == PushOutcome::Acknowledged {
            self.answer_duration.observe(duration.as_secs_f64());
        }
    }

    pub fn refused(&self, reason: RefusalReason) {
        self.refused.get_or_create(&[("reason", reason.as_str())]).inc();
    }
}

fn push_labels(kind: Kind, outcome: PushOutcome) -> PushLabels {
    [("type", kind.as_str()), ("outcome", outcome.as_str())]
}

/// Registers the counters of pushes. All are exposed from the start, as those of [`add_counters`] are.
fn pushes(r: &mut Registry) -> Family<PushLabels, Counter> {
    let pushes: Family<PushLabels, Counter> =
        add(r, "ads_pushes", "Pushes over ADS, by type and outcome");
    for kind in Kind::ALL {
        for outcome in PushOutcome::ALL {
            drop(pushes.get_or_create(&push_labels(kind, outcome)));
        }
    }
    pushes
}
