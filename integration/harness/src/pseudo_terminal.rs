//! A terminal: a pseudo-terminal of the kernel, in which a program runs, and an emulator (vt100) that
//! knows what is on its screen.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Signal, kill_process_group};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcgetpgrp, tcsetwinsize};
use vt100::Parser;

use crate::wait;

/// Marks the end of what a program wrote: an escape sequence (OSC) that terminals ignore.
const END: &[u8] = b"\x1b]9999;end\x07";

/// A terminal and its program, which ends with it.
pub struct Terminal {
    master: File,
    /// The program's side. It stays open, so that its modes can be read when the program has ended.
    line: OwnedFd,
    child: Child,
    emulator: Arc<Mutex<Emulator>>,
}

struct Emulator {
    parser: Parser,
    /// Everything that the program has written.
    text: Vec<u8>,
}

impl Terminal {
    /// Starts a program in a terminal of its own with so many columns and rows. Fails if there can be no
    /// terminal, or `setsid` (util-linux) or the program cannot be executed.
    pub fn start((columns, rows): (u16, u16), program: &Path, arguments: &[&str]) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let line = open(name, flags, Mode::empty()).context("the terminal's other side")?;
        tcsetwinsize(&master, size(columns, rows))?;
        let side = || anyhow::Ok(Stdio::from(line.try_clone()?));
        // It becomes the terminal that controls the program, which is told when its size changes.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(program).args(arguments);
        command.env("TERM", "xterm-256color");
        command.stdin(side()?).stdout(side()?).stderr(side()?);
        let child = command.spawn().context("setsid")?;
        let parser = Parser::new(some(rows)?, some(columns)?, 0);
        let emulator = Arc::new(Mutex::new(Emulator { parser, text: Vec::new() }));
        let master = File::from(master);
        let (reader, shared) = (master.try_clone()?, Arc::clone(&emulator));
        std::thread::spawn(move || emulate(reader, &shared));
        Ok(Self { master, line, child, emulator })
    }

    /// Returns the lines on the screen.
    pub fn lines(&self) -> Vec<String> {
        self.with(|emulator| {
            emulator.parser.screen().contents().lines().map(str::to_owned).collect()
        })
    }

    /// Returns whether the program uses the alternate screen.
    pub fn is_alternate(&self) -> bool {
        self.with(|emulator| emulator.parser.screen().alternate_screen())
    }

    /// Returns whether the cursor is hidden.
    pub fn hides_cursor(&self) -> bool {
        self.with(|emulator| emulator.parser.screen().hide_cursor())
    }

    /// Returns everything that the program has written.
    pub fn text(&self) -> String {
        self.with(|emulator| String::from_utf8_lossy(&emulator.text).into_owned())
    }

    /// Returns whether lines can be edited and what is typed is shown, as for a shell. Fails if the
    /// terminal does not say.
    pub fn is_cooked(&self) -> Result<bool> {
        let modes = tcgetattr(&self.line)?.local_modes;
        Ok(modes.contains(LocalModes::ICANON | LocalModes::ECHO))
    }

    /// Types something. Fails if the terminal does not take it.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.master.write_all(keys.as_bytes())?)
    }

    /// Changes the size, and tells the program. Fails if the terminal does not take it.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let (lines, width) = (some(rows)?, some(columns)?);
        self.with(|emulator| emulator.parser.screen_mut().set_size(lines, width));
        Ok(tcsetwinsize(&self.master, size(columns, rows))?)
    }

    /// Asks the program to end (SIGTERM). Fails if there is none.
    pub fn terminate(&self) -> Result<()> {
        let group = tcgetpgrp(&self.master).context("no program")?;
        Ok(kill_process_group(group, Signal::TERM)?)
    }

    /// Waits until the program has ended, and all that it wrote is on the screen. Fails if that does
    /// not happen in time.
    pub async fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let status = wait::until("the program to end", deadline, async || {
            child.try_wait()?.context("it still runs")
        })
        .await?;
        // The emulator reads on a thread of its own.
        File::from(self.line.try_clone()?).write_all(END)?;
        let is_read = async || self.with(Emulator::take_end);
        wait::until_true("the screen to show the end", deadline, is_read).await?;
        Ok(status)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Emulator) -> T) -> T {
        look(&mut self.emulator.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The program gets SIGHUP when the terminal is closed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Emulator {
    /// Returns whether [`END`] has come, and removes it from what the program has written.
    fn take_end(&mut self) -> bool {
        let Some(length) = self.text.strip_suffix(END).map(<[u8]>::len) else { return false };
        self.text.truncate(length);
        true
    }
}

fn some(count: u16) -> Result<NonZero<u16>> {
    NonZero::new(count).context("a screen has columns and rows")
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Shows what the program writes, until the terminal is closed.
fn emulate(mut master: File, emulator: &Mutex<Emulator>) {
    let mut buffer = [0; 4096];
    while let Ok(count) = master.read(&mut buffer) {
        let written = buffer.get(..count).unwrap_or_default();
        if written.is_empty() {
            return;
        }
        let mut emulator = emulator.lock().unwrap_or_else(PoisonError::into_inner);
        emulator.parser.process(written);
        emulator.text.extend_from_slice(written);
    }
}
