//! Child processes: their end, their logs and their host names.

use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Process, Program};
use crate::wait;

fn shell(folder: &TempDir, script: &str) -> Process {
    Program::new("shell", "/bin/sh", folder.path().join("log"))
        .args(["-c", script])
        .spawn()
        .unwrap()
}

async fn log_has(process: &Process, text: &str) {
    wait::until_true("the log", Duration::from_secs(10), async || process.tail().contains(text))
        .await
        .unwrap();
}

#[tokio::test]
async fn terminate_lets_the_program_clean_up() {
    let folder = TempDir::new().unwrap();
    let mut process =
        shell(&folder, "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done");
    log_has(&process, "up").await;
    let status = process.terminate(Duration::from_secs(10)).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert!(process.tail().contains("bye"));
}

#[tokio::test]
async fn dropping_kills_the_whole_group() {
    let folder = TempDir::new().unwrap();
    let process = shell(&folder, "sleep 1000 & echo child $!; wait");
    log_has(&process, "child ").await;
    let tail = process.tail();
    let pid: i32 = tail.rsplit("child ").next().unwrap().trim().parse().unwrap();
    drop(process);
    wait::until_true("the end of the grandchild", Duration::from_secs(10), async || {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        kill(Pid::from_raw(pid), None).is_err() || state.contains(" Z ")
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_ended_process_is_reported_with_its_log() {
    let folder = TempDir::new().unwrap();
    let mut process = shell(&folder, "echo why; exit 3");
    let error =
        wait::until("its end", Duration::from_secs(10), async || match process.ensure_running() {
            Ok(()) => Err("it runs"),
            Err(error) => Ok(error.to_string()),
        });
    let message = error.await.unwrap();
    assert!(message.contains("exit status: 3") && message.contains("why"), "{message}");
}

#[tokio::test]
async fn a_child_outlives_the_thread_that_started_it() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let process = std::thread::spawn(move || {
        Program::new("shell", "/bin/sh", log)
            .args(["-c", "sleep 0.2; echo alive; sleep 1000"])
            .spawn()
    });
    let mut process = process.join().unwrap().unwrap();
    log_has(&process, "alive").await;
    process.ensure_running().unwrap();
}

#[tokio::test]
async fn a_process_can_have_its_own_host_name() {
    let folder = TempDir::new().unwrap();
    let process = Program::new("hostname", "/bin/sh", folder.path().join("log"))
        .args(["-c", "cat /proc/sys/kernel/hostname; sleep 1000"])
        .hostname("api-server-7")
        .spawn()
        .unwrap();
    log_has(&process, "api-server-7").await;
}
