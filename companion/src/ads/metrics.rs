//! The metrics of ADS.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::kind::Kind;
use crate::metrics::{Label, Registry, add, add_with_unit, durations};

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

impl AdsMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let duration = ("ads_ack_duration", Unit::Seconds);
        let help = "Time from a push over ADS to its acknowledgment";
        Self {
            clients: add(r, "ads_clients", "Envoys and mirrors that are served over ADS"),
            pushes: add(r, "ads_pushes", "Pushes over ADS, by type and outcome"),
            refused: add(r, "ads_clients_refused", "Clients of ADS that are refused, by reason"),
            answer_duration: add_with_unit(r, duration, help, durations()),
        }
    }

    /// Records the end of a push, and how long it took to be acknowledged.
    pub fn pushed(&self, kind: Kind, outcome: PushOutcome, duration: Duration) {
        let text = match outcome {
            PushOutcome::Acknowledged => "acknowledged",
            PushOutcome::Refused => "refused",
            PushOutcome::Divided => "divided",
            PushOutcome::Unanswered => "unanswered",
        };
        self.pushes.get_or_create(&[("type", kind.as_str()), ("outcome", text)]).inc();
        if outcome == PushOutcome::Acknowledged {
            self.answer_duration.observe(duration.as_secs_f64());
        }
    }

    pub fn refused(&self, reason: RefusalReason) {
        let reason = match reason {
            RefusalReason::Handshake => "handshake",
            RefusalReason::Name => "name",
            RefusalReason::Limit => "limit",
            RefusalReason::NoMap => "no_map",
            RefusalReason::Unconfirmed => "unconfirmed",
            RefusalReason::Version => "version",
        };
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// Touches every metric with every value of its labels.
    #[cfg(test)]
    pub fn touch(&self) {
        for kind in Kind::ALL {
            for outcome in [
                PushOutcome::Acknowledged,
                PushOutcome::Refused,
                PushOutcome::Divided,
                PushOutcome::Unanswered,
            ] {
                self.pushed(kind, outcome, Duration::ZERO);
            }
        }
        use RefusalReason::{Handshake, Limit, Name, NoMap, Unconfirmed, Version};
        for reason in [Handshake, Name, Limit, NoMap, Unconfirmed, Version] {
            self.refused(reason);
        }
    }
}
