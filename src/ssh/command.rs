//! A command to run on a host, and what came of it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The most of an output stream that is kept unless a command says otherwise: 1 MiB.
const CAPTURE_LIMIT: usize = 1 << 20;

/// A command to run on a host.
#[derive(Clone)]
pub struct Command {
    /// What the login shell runs: a line or a short script. At most 120,000 bytes.
    pub line: String,
    /// Run as root: through `sudo -n`, unless the login user is root already.
    pub sudo: bool,
    /// The folder to run in; the home folder if none is given. `~/` stands for the home folder.
    pub directory: Option<String>,
    /// Variables to set. Their values travel over the encrypted connection and are at no time part
    /// of a remote command line, nor of our errors.
    pub environment: Vec<(String, String)>,
    /// What the command reads; nothing if none is given.
    pub stdin: Option<Vec<u8>>,
    /// After this long the remote process group is killed; never if none is given.
    pub timeout: Option<Duration>,
    /// How many bytes of each output stream are kept: half from its head, half from its tail.
    pub capture_limit: usize,
    /// A folder on this machine for output that is longer than that; nothing: it is lost.
    pub spill: Option<PathBuf>,
    /// Whether the command gets a terminal. Its two output streams are one then.
    pub pty: bool,
}

impl Command {
    /// A command with no options: as the login user, at home, reading nothing, without a time limit,
    /// keeping 1 MiB of each stream.
    pub fn new(line: impl Into<String>) -> Self {
        Command {
            line: line.into(),
            sudo: false,
            directory: None,
            environment: Vec::new(),
            stdin: None,
            timeout: None,
            capture_limit: CAPTURE_LIMIT,
            spill: None,
            pty: false,
        }
    }
}

/// Shows names of variables only, and no input: both may hold secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Command")
            .field("line", &self.line)
            .field("sudo", &self.sudo)
            .field("directory", &self.directory)
            .field("environment", &names)
            .field("stdin", &self.stdin.as_ref().map(Vec::len))
            .field("timeout", &self.timeout)
            .field("capture_limit", &self.capture_limit)
            .field("spill", &self.spill)
            .field("pty", &self.pty)
            .finish()
    }
}

/// One of the two streams a command writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command ended and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit status; none if a signal ended the command.
    pub status: Option<u32>,
    /// The signal that ended the command, without `SIG`: `KILL`.
    pub signal: Option<String>,
    /// Standard output. Bytes that are not UTF-8 are replaced by `U+FFFD`.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// How many bytes of both streams were left out because of the capture limit; a line in their
    /// place says so.
    pub truncated: u64,
    /// Where all of standard output is, if some of it was left out and there was a folder for it.
    pub stdout_file: Option<PathBuf>,
    /// The same for standard error.
    pub stderr_file: Option<PathBuf>,
    /// From sending the command to its end.
    pub duration: Duration,
}

impl Output {
    /// Whether the command ended with status 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// How the command ended, for a message: `exited with status 2`, `was ended by signal KILL`.
    pub fn ending(&self) -> String {
        match (self.status, &self.signal) {
            (Some(status), _) => format!("exited with status {status}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended without saying how".to_owned(),
        }
    }

    /// The last line that is not empty, of standard error if it has one, else of standard output.
    pub fn last_line(&self) -> Option<&str> {
        let mut lines = self.stderr.lines().rev().chain(self.stdout.lines().rev()).map(str::trim);
        lines.find(|line| !line.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_secrets() {
        let mut command = Command::new("deploy");
        command.environment.push(("TOKEN".into(), "hunter2".into()));
        command.stdin = Some(b"hunter3".to_vec());
        let text = format!("{command:?}");
        assert!(text.contains("TOKEN") && !text.contains("hunter"), "{text}");
    }

    #[test]
    fn the_last_line_prefers_standard_error() {
        let mut output = Output {
            status: Some(1),
            signal: None,
            stdout: "one\ntwo\n\n".into(),
            stderr: "\n".into(),
            truncated: 0,
            stdout_file: None,
            stderr_file: None,
            duration: Duration::ZERO,
        };
        assert_eq!(output.last_line(), Some("two"));
        output.stderr = "first\n oops \n".into();
        assert_eq!(output.last_line(), Some("oops"));
        assert_eq!(output.ending(), "exited with status 1");
    }
}
