//! `kubectl skew doctor` on a companion and Envoy. The tests plant one fault after the other: only its
//! rule finds it, and the doctor finds nothing after the repair. `tests/cluster/skew/doctor.rs` plants
//! the faults of API servers.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use fake_apiserver::replay::{Canned, CannedEnd};
use harness::companion::Companion;
use harness::fleet::Fleet;
use harness::stack::Stack;
use harness::wait;
use pki::{ClientCertificate, Pki, Subject, Validity};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::{DEADLINE, json};

const DAY: Duration = Duration::from_secs(86_400);

/// Runs the doctor. Fails unless it finds problems by these rules, and by no others.
async fn finds_at_once(companion: &Companion, rules: &[&str]) -> Result<()> {
    let found = json(companion, &["--kubeconfig", "/nonexistent", "doctor"]).await?;
    let problems = found["problems"].as_array().context("no problems")?;
    let found: Vec<_> = problems.iter().filter_map(|one| one["rule"].as_str()).collect();
    ensure!(found == rules, "{problems:#?}");
    Ok(())
}

/// Waits until the doctor finds problems by these rules, and by no others.
pub async fn finds(companion: &Companion, rules: &[&str]) -> Result<()> {
    let finds = async || finds_at_once(companion, rules).await;
    wait::until(&format!("the doctor to find {rules:?}"), DEADLINE, finds).await
}

async fn start(versions: &[Version]) -> Result<(Fleet, Stack)> {
    let fleet = Fleet::start(versions).await?;
    let stack = fleet.stack().await?;
    finds_at_once(&stack.companion, &[]).await?;
    Ok((fleet, stack))
}

#[tokio::test]
async fn faults_of_certificates_and_of_published_files_are_found() -> Result<()> {
    let (fleet, stack) = start(&[Version::V1_36]).await?;
    let listener = &stack.options().server.certificate;
    let good = fs::read(listener)?;
    fs::write(listener, "not PEM")?;
    finds_at_once(&stack.companion, &["secret-not-readable"]).await?;
    fs::write(listener, good)?;
    finds(&stack.companion, &[]).await?;

    let front_proxy = stack.options().front_proxy.as_ref().context("no front proxy")?;
    let folder = front_proxy.certificate.parent().context("no folder")?;
    let name = front_proxy.certificate.file_stem().context("no name")?;
    let pki = Pki::create(fleet.folder().join("other-front-proxy"))?;
    for (validity, found) in [
        (Validity::until(SystemTime::now() + 3 * DAY), &["certificate-expires"][..]),
        (Validity::default(), &[]),
    ] {
        let subject = Subject::user("front-proxy-client", &[]);
        let certificate = ClientCertificate { validity, ..ClientCertificate::new(subject) };
        let issued = pki.client_with("front-proxy-client", &certificate)?;
        issued.copy_to(folder, name.to_str().context("not UTF-8")?)?;
        finds(&stack.companion, found).await?;
    }

    // A folder in the place of a file, which cannot be replaced.
    let map = stack.options().published().join("ecds.json");
    // The companion may write the file again before the folder is there.
    wait::until("a folder in the place of the map", DEADLINE, async || {
        fs::remove_file(&map).ok();
        fs::create_dir(&map)
    })
    .await?;
    finds(&stack.companion, &["not-publishing"]).await?;
    fs::remove_dir(&map)?;
    finds(&stack.companion, &[]).await
}

#[tokio::test]
async fn faults_of_peers_are_found() -> Result<()> {
    let (mut fleet, mut stack) = start(&[Version::V1_35, Version::V1_36]).await?;
    let good = fleet.addresses();

    let mut peers = good.clone();
    peers.push(("never-there".to_owned(), "127.0.0.1:1".parse()?));
    stack.set_peers(peers)?;
    finds(&stack.companion, &["map-incomplete"]).await?;
    stack.set_peers(good.clone())?;
    finds(&stack.companion, &[]).await?;

    fleet.add(Version::V1_36).await?;
    let refusal = Canned {
        status: StatusCode::FORBIDDEN,
        headers: HeaderMap::new(),
        body: Vec::new(),
        end: CannedEnd::Complete,
        delay: Duration::ZERO,
    };
    fleet.peers[2].answer_with("/apis", refusal);
    stack.set_peers(fleet.addresses())?;
    finds(&stack.companion, &["discovery-not-read"]).await?;
    fleet.peers[2].answer_as_recorded();
    finds(&stack.companion, &[]).await?;
    stack.set_peers(good)?;
    finds(&stack.companion, &[]).await?;

    fleet.add(Version::V1_37).await?;
    stack.set_peers(fleet.addresses())?;
    finds(&stack.companion, &["versions-too-far-apart"]).await
}
