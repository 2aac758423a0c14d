//! `kubectl skew top` in a real terminal: a pseudo-terminal, with a companion and Envoy in front of fake API
//! servers of two versions.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fake_apiserver::Version;
use harness::fleet::Fleet;
use harness::pseudo_terminal::Terminal;
use harness::wait;
use kubectl_skew::terminal::Session;
use wire::client::Http;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-skew");

/// A type that only the newer server has.
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies";

const DEADLINE: Duration = Duration::from_secs(60);

const WIDTH: u16 = 100;

/// Not a test of its own: [`a_panic_leaves_the_terminal_as_it_was_and_its_message_can_be_read`] runs it.
#[test]
#[ignore = "another test runs it in a terminal"]
fn a_view_that_panics() {
    let mut session = Session::begin().unwrap();
    session.screen().draw(|frame| frame.render_widget("drawn", frame.area())).unwrap();
    panic!("a fault of the view");
}

/// Waits until the screen has a line for which this holds.
async fn until_line(terminal: &Terminal, what: &str, is: impl Fn(&str) -> bool) -> Result<String> {
    wait::until(what, DEADLINE, async || {
        let lines = terminal.lines();
        lines.iter().find(|line| is(line)).cloned().with_context(|| lines.join("\n"))
    })
    .await
}

fn is_left(terminal: &Terminal) -> Result<()> {
    ensure!(!terminal.is_alternate(), "the alternate screen is still there");
    ensure!(!terminal.hides_cursor(), "the cursor is hidden");
    ensure!(terminal.is_cooked()?, "the terminal is still raw");
    Ok(())
}

#[tokio::test]
async fn top_shows_requests_as_they_come_follows_the_size_and_leaves_the_terminal_as_it_was()
-> Result<()> {
    let mut fleet = Fleet::start(&[Version::V1_35, Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let url = format!("http://127.0.0.1:{}", stack.companion.port());
    let envoy = format!("http://127.0.0.1:{}", stack.envoy.admin_port());
    let common = ["--companion", &url, "--kubeconfig", "/nonexistent"];
    let arguments = [&common[..], &["top", "--envoy", &envoy]].concat();
    let mut terminal = Terminal::start((WIDTH, 30), Path::new(PROGRAM), &arguments)?;
    until_line(&terminal, "peers", |line| line.starts_with("cp-1") && line.contains("serving"))
        .await?;
    ensure!(terminal.is_alternate() && !terminal.is_cooked()?, "{}", terminal.text());
    until_line(&terminal, "a skewed type", |line| {
        line.contains("mutatingadmissionpolicies ") && line.contains("cp-2")
    })
    .await?;

    // Requests for a type of one server are counted.
    let client = fleet.client(&stack.url(), Http::Two)?;
    for _ in 0..5 {
        client.get(POLICIES).await?;
    }
    until_line(&terminal, "five requests", |line| {
        line.starts_with("skewed") && line.trim_end().ends_with(" 5")
    })
    .await?;

    // A peer that leaves is seen without a key.
    fleet.peer(1)?.set_ready(false);
    until_line(&terminal, "a peer that leaves", |line| {
        line.starts_with("cp-2") && line.contains("not ready")
    })
    .await?;

    let keys = "q: quit";
    terminal.resize(WIDTH, 40)?;
    wait::until("the last line of a larger screen", DEADLINE, async || {
        let lines = terminal.lines();
        let at = lines.iter().position(|line| line.starts_with(keys));
        ensure!(at == Some(39), "{at:?}: {lines:#?}");
        Ok(())
    })
    .await?;

    terminal.press("q")?;
    let status = terminal.ended(DEADLINE).await?;
    ensure!(status.success(), "{status}: {}", terminal.text());
    is_left(&terminal)
}

#[tokio::test]
async fn a_panic_leaves_the_terminal_as_it_was_and_its_message_can_be_read() -> Result<()> {
    let arguments = ["a_view_that_panics", "--exact", "--ignored", "--nocapture"];
    let program = std::env::current_exe()?;
    let mut terminal = Terminal::start((WIDTH, 30), &program, &arguments)?;
    let status = terminal.ended(DEADLINE).await?;
    ensure!(!status.success(), "{status}");
    until_line(&terminal, "the message", |line| line.contains("a fault of the view")).await?;
    ensure!(terminal.text().contains("drawn"), "{}", terminal.text());
    is_left(&terminal)
}

#[tokio::test]
async fn a_terminated_view_leaves_the_terminal_as_it_was() -> Result<()> {
    let fleet = Fleet::start(&[Version::V1_36]).await?;
    let stack = fleet.stack().await?;
    let url = format!("http://127.0.0.1:{}", stack.companion.port());
    let arguments = ["--companion", &url, "--kubeconfig", "/nonexistent", "top"];
    let mut terminal = Terminal::start((WIDTH, 30), Path::new(PROGRAM), &arguments)?;
    until_line(&terminal, "peers", |line| line.starts_with("cp-1")).await?;
    terminal.terminate()?;
    let status = terminal.ended(DEADLINE).await?;
    ensure!(status.success(), "{status}: {}", terminal.text());
    is_left(&terminal)
}

#[test]
fn without_a_terminal_top_says_what_to_use() -> Result<()> {
    let output = Command::new(PROGRAM).arg("top").stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{}", output.status);
    ensure!(text.contains("top needs a terminal") && text.contains("--watch"), "{text}");
    Ok(())
}
