//! A hermetic run of the binary: a project folder of its own, a cleared environment, a fixed width.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// No run of a test takes so long, on a machine however busy.
const LONGEST: Duration = Duration::from_secs(600);

/// A project in a temporary folder and the way to run spot in it.
pub struct Spot {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run came to.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Both outputs with the exit code, for the message of a failed assertion.
    pub fn all(&self) -> String {
        format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }
}

impl Spot {
    pub fn new() -> Self {
        Spot { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Reads a file of the project.
    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder().join(path)).unwrap()
    }

    /// The instances in the state file under `folder` (`.` or `.spot/sandbox`).
    pub fn instances(&self, folder: &str) -> Vec<serde_json::Value> {
        let text = self.read(&format!("{folder}/instances.json"));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["instances"].as_array().unwrap().clone()
    }

    /// Adds a variable to the environment of all runs.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The command that a run starts.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spot"));
        command
            .args(arguments)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", self.folder())
            .env("LANG", "C.UTF-8")
            .env("COLUMNS", "120")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .stdin(Stdio::null());
        command
    }

    /// Runs spot with arguments and waits for its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = self.command(arguments);
        let output = ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs spot in the sandbox.
    pub fn sandbox(&self, arguments: &[&str]) -> Finished {
        self.run(&[&["--sandbox"], arguments].concat())
    }
}

/// Waits for the end of a run, and kills one that hangs: then its test fails by name, and the others go on.
#[track_caller]
pub fn ended(run: Child) -> Output {
    let process = Pid::from_raw(run.id().try_into().unwrap());
    let (tell, hear) = channel();
    std::thread::spawn(move || tell.send(run.wait_with_output()));
    if let Ok(output) = hear.recv_timeout(LONGEST) {
        return output.unwrap();
    }
    kill(process, Signal::SIGKILL).unwrap();
    let output = hear.recv().unwrap().unwrap();
    panic!("no end within {LONGEST:?}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Polls until a condition holds.
#[track_caller]
pub fn eventually(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {seconds} s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The code blocks of a Markdown text with their language line and the line they start at.
pub fn code_blocks(text: &str) -> Vec<(usize, String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((index + 1, language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, body)), None) => {
                let _ = writeln!(body, "{line}");
            }
            (None, None) => {}
        }
    }
    blocks
}
