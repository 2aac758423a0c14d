//! A dozen specs of Kubernetes' own end-to-end suite, which read discovery in
//! every form, through Envoy in front of the two newest versions. `make e2e`
//! runs hundreds.

use anyhow::{Result, ensure};
use e2e::{Form, Options, Pair, run};
use fake_apiserver::Version;
use harness::report::Entry;
use tempfile::TempDir;

/// How many specs the short form has.
const SPECS: usize = 12;

#[tokio::test]
async fn specs_that_read_discovery_pass_as_they_do_directly() -> Result<()> {
    let mut entry = Entry::begin("cluster_e2e");
    let folder = TempDir::with_prefix("e2e-")?;
    let [older, newer] = Version::NEWEST_PAIR;
    let options = Options {
        pair: Pair { older, newer },
        form: Form::Short,
        processes: 2,
        folder: folder.path().to_owned(),
    };
    let summary = run(&options).await?;
    entry.set("summary", summary.to_json());
    ensure!(summary.ours().is_empty(), "{summary}");
    ensure!(summary.passed() >= SPECS, "{summary}");
    entry.passed()
}
