//! A terminal in which a test types commands, one after the other: what a command sets in the shell
//! is there for the next.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Ends what a command prints. The exit status follows it.
const END: &str = "--- end of the command: ";

/// A shell that runs what is typed. It ends when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    shell: Child,
    keyboard: Option<ChildStdin>,
    screen: BufReader<ChildStdout>,
}

impl Terminal {
    /// Opens a terminal in a folder, with these environment variables. Fails if bash does not start.
    pub fn open(folder: &Path, variables: &[(&str, &OsStr)]) -> Result<Self> {
        let mut shell = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("bash")?;
        let keyboard = shell.stdin.take();
        let screen = BufReader::new(shell.stdout.take().context("bash has no output")?);
        let mut terminal = Self { shell, keyboard, screen };
        terminal.run("exec 2>&1; set -o pipefail")?;
        Ok(terminal)
    }

    /// Types a command. Returns what it prints, on either stream. Fails if the command fails.
    pub fn run(&mut self, command: &str) -> Result<String> {
        let (status, printed) = self.try_run(command)?;
        ensure!(status == 0, "{command}\nended with {status}:\n{printed}");
        Ok(printed)
    }

    /// Types a command. Returns its exit status, and what it prints on either stream. Fails if the
    /// command ends the shell.
    pub fn try_run(&mut self, command: &str) -> Result<(u8, String)> {
        let keyboard = self.keyboard.as_mut().context("the keyboard is gone")?;
        // The command must not read what is typed next.
        writeln!(keyboard, "{{ {command}\n}} </dev/null\nprintf '\\n{END}%s\\n' $?")?;
        keyboard.flush()?;
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let read = self.screen.read_line(&mut line)?;
            ensure!(read > 0, "{command}\nended the shell:\n{printed}");
            if let Some(status) = line.strip_prefix(END) {
                return Ok((status.trim().parse()?, printed.trim_end().to_owned()));
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell ends with its input, after the command that it runs.
        self.keyboard = None;
        self.shell.kill().ok();
        self.shell.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::Terminal;

    #[test]
    fn what_a_command_sets_is_there_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let given = [("GIVEN", OsStr::new("b"))];
        let mut terminal = Terminal::open(folder.path(), &given).unwrap();
        assert_eq!(terminal.run("value=a\ncd /").unwrap(), "");
        assert_eq!(terminal.run("echo $value $GIVEN \\\n  $PWD").unwrap(), "a b /");
        assert_eq!(terminal.run("printf 'no newline'; echo error >&2").unwrap(), "no newlineerror");
        assert_eq!(terminal.try_run("(exit 3)").unwrap().0, 3);
        let error = terminal.run("echo why; false | true").unwrap_err().to_string();
        assert!(error.contains("why") && error.contains("ended with 1"), "{error}");
        assert!(terminal.run("exit").is_err());
    }
}
