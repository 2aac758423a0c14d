//! Types the commands of `docs/tutorial.md` beside a running demo, in their order, and compares what
//! they print with what the page shows.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::process::Program;
use harness::terminal::Terminal;
use harness::{transcript, wait};

/// The demo tells its story for some seconds, and longer if the machine is busy.
const DEADLINE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn a_newcomer_gets_from_the_demo_to_enforcing_and_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let demo = env!("CARGO_BIN_EXE_demo");
    let mut demo = Program::new("demo", demo, folder.path().join("demo.log"))
        .current_dir(folder.path())
        .env("DEMO_ONCE", "0")
        .env("TMPDIR", folder.path())
        .spawn()?;
    // The last file that it writes.
    let env = folder.path().join("target/demo/env");
    let stays_up = async || env.exists().then_some(()).context("not yet");
    demo.until("the end of the story", DEADLINE, stays_up).await?;

    let mut terminal = Terminal::open(folder.path(), &[])?;
    for step in transcript::read("docs/tutorial.md", "integration/demo/tests/tutorial.rs")? {
        step.run(&mut terminal).with_context(|| demo.tail())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_second_demo_in_the_same_folder_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("demo.log");
    let start = || {
        let program = Program::new("demo", env!("CARGO_BIN_EXE_demo"), &log);
        program
            .current_dir(folder.path())
            .env("DEMO_ONCE", "0")
            .env("TMPDIR", folder.path())
            .spawn()
    };
    let _first = start()?;
    let begun = async || fs::read_to_string(&log).is_ok_and(|text| text.contains("API servers"));
    wait::until_true("the first", DEADLINE, begun).await?;
    let mut second = start()?;
    let ended = wait::until("the end of the second", DEADLINE, async || {
        second.exited()?.context("it runs")
    });
    ensure!(!ended.await?.success(), "{}", second.tail());
    // A backtrace may follow it.
    let log = fs::read_to_string(&log)?;
    ensure!(log.contains("another demo uses"), "{log}");
    Ok(())
}
