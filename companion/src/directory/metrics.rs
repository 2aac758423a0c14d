//! The metrics of many control planes as a whole.

use std::collections::BTreeMap;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::metrics::{Label, Registry, add, gauge};
use crate::serve::ControlPlaneState;

#[derive(Clone, Debug)]
pub struct DirectoryMetrics {
    control_planes: Family<Label, Gauge>,
    refused: Gauge,
    readable: Gauge,
}

impl DirectoryMetrics {
    pub fn new(r: &mut Registry) -> Self {
        let refused = "Control-plane files that are refused; the last good configuration of each, \
                       if any, stays in use";
        let readable = "1 unless the directory of the control planes cannot be read";
        let metrics = Self {
            control_planes: add(r, "control_planes", "Control planes, by state"),
            refused: add(r, "control_plane_files_refused", refused),
            readable: add(r, "control_plane_directory_readable", readable),
        };
        // Also where there is none.
        metrics.read(true);
        metrics
    }

    /// Records whether the directory can be read.
    pub fn read(&self, succeeded: bool) {
        self.readable.set(i64::from(succeeded));
    }

    /// Records how many control planes are in each state, and how many files are refused.
    pub fn count(&self, states: &BTreeMap<ControlPlaneState, usize>, refused: usize) {
        use ControlPlaneState::{Refused, Serving, Starting, Stopped};
        for state in [Starting, Serving, Stopped, Refused] {
            let label = match state {
                Starting => "starting",
                Serving => "serving",
                Stopped => "stopped",
                Refused => "refused",
            };
            let count = states.get(&state).copied().unwrap_or_default();
            self.control_planes.get_or_create(&[("state", label)]).set(gauge(count));
        }
        self.refused.set(gauge(refused));
    }
}
