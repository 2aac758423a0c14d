//! Child processes that never outlive the test.
//!
//! Each child is the leader of a process group of its own and writes to a log
//! file. Three things end it: [`Process::terminate`], dropping the handle
//! (SIGKILL to the group), and the death of the test process itself, by the
//! kernel's parent-death signal.
//!
//! That signal is sent when the *thread* that forked ends. Threads of tests and
//! of tokio's blocking pool come and go, so all children are forked from one
//! thread that lasts as long as the process.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, sethostname};
use wire::client::Client;

use crate::wait;

/// How much of a log an error message shows.
const TAIL_LINES: usize = 25;

/// A program to start, with its arguments and environment.
#[derive(Debug)]
pub struct Program {
    name: String,
    log: PathBuf,
    hostname: Option<String>,
    command: Command,
}

impl Program {
    /// Returns the program at `path`, called `name` in messages, logging to `log`.
    pub fn new(name: impl Into<String>, path: impl AsRef<OsStr>, log: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), log: log.into(), hostname: None, command: Command::new(path) }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command.args(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs the program in `folder`.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs the program in a UTS namespace of its own with this host name:
    /// kube-apiserver derives its identity from the host name.
    #[must_use]
    pub fn hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = Some(hostname.into());
        self
    }

    /// Starts it. Fails if the log cannot be written or the program cannot be
    /// executed.
    pub fn spawn(self) -> Result<Process> {
        let Self { name, log, hostname, mut command } = self;
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let parent = Pid::this();
        // SAFETY: the closure runs in the forked child before exec, and makes
        // only system calls that are safe after fork; it does not allocate,
        // for `hostname` was allocated before.
        #[expect(unsafe_code, reason = "only `pre_exec` acts between fork and exec")]
        unsafe {
            command.pre_exec(move || prepare_child(parent, hostname.as_deref()));
        }
        let child =
            spawn_on_lasting_thread(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Process { name, log, child })
    }
}

/// In the child, before exec: die with the parent, and have the host name.
fn prepare_child(parent: Pid, hostname: Option<&str>) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before the call above took effect.
    if Pid::parent() != parent {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    if let Some(hostname) = hostname {
        match unshare(CloneFlags::CLONE_NEWUTS) {
            // Not root: a user namespace gives the right to the other.
            Err(Errno::EPERM) => unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWUTS)?,
            other => other?,
        }
        sethostname(hostname)?;
    }
    Ok(())
}

type Job = (Command, mpsc::Sender<io::Result<Child>>);

/// Forks from the one thread that lasts (see the module's text).
fn spawn_on_lasting_thread(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in queue {
                // The asker waits for the answer; should it be gone, so is the child.
                if let Err(mpsc::SendError(Ok(mut orphan))) = answer.send(command.spawn()) {
                    orphan.kill().and_then(|()| orphan.wait()).ok();
                }
            }
        });
        Mutex::new(jobs)
    });
    let (answer, answers) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes is gone");
    spawner
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, answer))
        .map_err(|_| gone())?;
    answers.recv().map_err(|_| gone())?
}

/// A running child; dropping it kills its whole process group.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the file that stdout and stderr go to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the exit status, when it has ended. Fails if the kernel does not
    /// know the child.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails when the process has ended; the message shows the log's end. Fails
    /// if it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => Err(anyhow!("{} ended with {status}\n{}", self.name, self.tail())),
        }
    }

    /// Polls until `condition` gives `Ok`, as [`wait::until`] does.
    ///
    /// # Errors
    ///
    /// At once when the process ends, or when the deadline passes; the message
    /// shows the log's end.
    pub async fn until<T, E: Display>(
        &mut self,
        what: &str,
        deadline: Duration,
        mut condition: impl AsyncFnMut() -> Result<T, E>,
    ) -> Result<T> {
        let waited = wait::until(what, deadline, async || match self.ensure_running() {
            Ok(()) => condition().await.map(Ok),
            Err(ended) => Ok(Err(ended)),
        });
        match waited.await {
            Ok(ended_or_not) => ended_or_not,
            Err(late) => Err(late.context(self.tail())),
        }
    }

    /// Waits until a GET of `path` is answered with a success. Fails as
    /// [`Self::until`] does.
    pub async fn until_ok(
        &mut self,
        client: &Client,
        path: &str,
        deadline: Duration,
    ) -> Result<()> {
        let what = format!("{path} of {}", self.name);
        self.until(&what, deadline, async || client.get(path).await?.ok().map(drop)).await
    }

    /// Sends a signal to the process (not to its group). Fails if it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.as_pid()?, signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// SIGTERM, then waits for the end. Fails if it has not ended in time (it
    /// is killed on drop then).
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        self.signal(Signal::SIGTERM)?;
        let what = format!("the end of {}", self.name);
        wait::until(&what, deadline, async || match self.exited() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(anyhow!("it runs\n{}", self.tail())),
            Err(error) => Err(error),
        })
        .await
    }

    /// SIGKILL to the whole group, as `kill -9` does, and reaps it.
    pub fn kill_9(&mut self) {
        if let Ok(pid) = self.as_pid() {
            // It may have ended by itself: then there is nothing to kill.
            killpg(pid, Signal::SIGKILL).ok();
        }
        self.child.wait().ok();
    }

    /// Returns the last lines of the log, to explain a failure.
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
        let mut tail = format!("--- end of {}:\n", self.log.display());
        for line in shown {
            tail.extend(["    ", line, "\n"]);
        }
        tail
    }

    fn as_pid(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
    }
}

#[cfg(test)]
mod tests;
