//! The only control plane, whose configuration is in the main file: if its tasks end, the companion
//! ends.

use std::sync::Arc;

use tokio::sync::watch;

use super::control_plane::{Common, ControlPlane, Reports};
use super::metrics::ControlPlaneMetrics;
use super::sinks::Sinks;
use crate::ads::Snapshots;
use crate::channel::send_changed;
use crate::config::{Config, MainConfig};
use crate::program::{ProgramError, Tasks, failed};
use crate::serve::{ControlPlaneState, Views};

/// Starts its tasks, and enters it in `views`.
pub(super) fn start(
    config: &Arc<Config>,
    mains: watch::Receiver<Arc<MainConfig>>,
    snapshots: Option<Snapshots>,
    views: &mut Views,
    tasks: &mut Tasks,
) -> Result<(), ProgramError> {
    let control_plane = ControlPlane::read(Arc::clone(config))?;
    let files = control_plane.files().map_err(failed("envoy.directory: "))?;
    let name = config.envoy.cluster_prefix.to_string();
    let ads = snapshots.map(|snapshots| control_plane.ads_sink(snapshots));
    let (sender, configs) = watch::channel(Arc::clone(config));
    let sinks = Sinks::new(files, ads);
    let reports = Reports {
        metrics: ControlPlaneMetrics::new(None),
        history: views.control_planes.history(&name),
        refusals: views.envoys.refusals(),
    };
    let view = control_plane.start(configs, sinks, Common::new(1), reports, tasks);
    views.control_planes.runs(&name, Vec::new(), view.clone());
    views.only = Some(name.clone());
    tasks.add("control plane", follow(mains, sender));
    let control_planes = views.control_planes.clone();
    tasks.add("state", async move {
        control_planes.is(&name, ControlPlaneState::Starting, None);
        view.published().await;
        control_planes.is(&name, ControlPlaneState::Serving, None);
        std::future::pending().await
    });
    Ok(())
}

/// Hands on what the main file says of the control plane, until nobody follows it.
async fn follow(mut mains: watch::Receiver<Arc<MainConfig>>, configs: watch::Sender<Arc<Config>>) {
    while mains.changed().await.is_ok() {
        let main = Arc::clone(&mains.borrow_and_update());
        // A main file that begins to have many is refused.
        if let Some(next) = main.only() {
            send_changed(&configs, next);
        }
    }
}
