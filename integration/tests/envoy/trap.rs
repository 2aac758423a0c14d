//! The filter fails: this build traps on a path. While the VM of one worker after
//! the other is gone, no request is served with a client's claims, and only
//! those of verified clients use the front proxy's connections. Each VM comes
//! back by itself, and streams continue on that worker too, because their data
//! does not enter the filter.

use anyhow::{Context, Result};
use harness::artifacts::Artifact;
use harness::stack::Stack;
use serde_json::json;
use wire::raw::Answer;

use crate::identity::corpus::{self, Case};
use crate::identity::judge;
use crate::identity::run::{self, Outcome};
use crate::identity::site::Site;

mod workers;

use workers::{WORKERS, Worker, Workers};

/// One in this many requests of the corpus is sent while a VM is gone.
const STEP: usize = 9;

fn is_refusal(answer: Answer) -> bool {
    !matches!(answer, Answer::Status(..500) | Answer::Silence)
}

fn is_of(outcome: &Outcome, status: u16) -> bool {
    matches!(outcome, Outcome::Answered(statuses) if statuses.contains(&status))
}

/// Returns a part of the corpus, with the numbers that the requests carry.
fn hostile_requests() -> Vec<(usize, Case)> {
    corpus::all().into_iter().enumerate().step_by(STEP).collect()
}

#[tokio::test]
async fn a_trap_grants_no_identity_and_ends_no_stream() -> Result<()> {
    let site = Site::start().await?;
    let mut options = site.stack_options()?;
    options.concurrency = u32::try_from(WORKERS)?;
    let envoy =
        json!({ "directory": options.published(), "filterModule": Artifact::FilterTrap.path()? });
    options.companion.as_object_mut().context("no object")?.insert("envoy".to_owned(), envoy);
    let stack = Stack::start_with_map(options).await?;
    let clients = site.clients(stack.port())?;
    let mut workers = Workers::open(stack, clients.clone()).await?;
    let cases = hostile_requests();
    let sent: Vec<Case> = cases.iter().map(|(_, case)| case.clone()).collect();

    let (mut served, mut without_a_vm) = (0, 0);
    // The last one is never hit: its streams live through all.
    for worker in 0..WORKERS - 1 {
        let others: Vec<_> = (worker + 1..WORKERS).collect();
        let reloads = workers.vm_stat("vm_reload_success").await?;
        let hostile = run::send_all(&sent, &clients, run::DEADLINE);
        let trap = async {
            let seen = workers.trap(worker).await?;
            workers.wait_for_ticks(&others).await?;
            anyhow::Ok(seen)
        };
        let (outcomes, seen) = tokio::join!(hostile, trap);
        let seen = seen?;
        assert!(is_refusal(seen), "a trap was answered {seen:?}");
        served += outcomes?.iter().filter(|&outcome| is_of(outcome, 200)).count();
        workers.wait_until_it_serves(worker).await?;
        assert!(workers.vm_stat("vm_reload_success").await? > reloads);

        let answers = workers.claims_without_a_vm(worker).await?;
        assert!(answers.iter().all(|&answer| answer == Answer::Status(503)), "{answers:?}");
        without_a_vm += answers.len();
        workers.wait_until_it_serves(worker).await?;
        workers.wait_for_ticks(&others).await?;
    }
    println!("{served} hostile requests answered 200, {without_a_vm} met no VM and were refused");
    let ended = |worker: &Worker| worker.streams.iter().filter(|of| of.has_ended()).count();
    for (number, worker) in &workers.workers {
        let (ended, all) = (ended(worker), worker.streams.len());
        assert_eq!(ended, 0, "worker {number}: {ended} of {all} streams ended");
    }
    // Requests were served too: safety did not come from refusing all of them.
    assert!(served > sent.len() / 2, "{served} answers");

    let Stack { envoy, companion, .. } = workers.stack;
    envoy.stop().await?;
    let records = run::by_case(site.requests().await?);
    drop(companion);
    let expected = site.expected()?;
    let mut faults = Vec::new();
    for (number, case) in &cases {
        let arrived = records.get(&Some(*number)).map(Vec::as_slice).unwrap_or_default();
        let expected = expected.get(&case.who).context("no such client")?;
        for record in arrived {
            let found = judge::faults(record, expected, case.paths());
            faults.extend(found.iter().map(|fault| format!("{}: {fault} arrived", case.name)));
        }
    }
    let own = workers::PATHS.map(|path| path.as_bytes().to_vec());
    for record in records.get(&None).map(Vec::as_slice).unwrap_or_default() {
        let path = record.path.escape_ascii();
        let Some(who) = workers::sender(record) else {
            faults.push(format!("{path} arrived, but no test sent it"));
            continue;
        };
        let found = judge::faults(record, expected.get(&who).context("no such client")?, &own);
        faults.extend(found.iter().map(|fault| format!("{who:?}, {path}: {fault} arrived")));
    }
    let first: Vec<_> = faults.iter().take(40).collect();
    assert!(faults.is_empty(), "{} faults: {first:#?}", faults.len());
    Ok(())
}
