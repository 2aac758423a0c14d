//! Records the answers of real kube-apiservers in `integration/recordings/`, one
//! of each version. `make recordings` runs it.

use anyhow::Result;
use fake_apiserver::Version;
use harness::artifacts::integration_folder;
use harness::control_plane::ControlPlane;

#[tokio::main]
async fn main() -> Result<()> {
    let plane = ControlPlane::start(Version::ALL).await?;
    let output = integration_folder().join("recordings");
    for folder in harness::recordings::record(&plane, &output).await? {
        println!("recorded {}", folder.display());
    }
    Ok(())
}
