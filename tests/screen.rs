//! A terminal as a person has it: a pseudo-terminal with a shell in it, and the screen that shows what comes.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use vt100::Parser;

use crate::spot::Spot;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The shell's prompt.
pub const PROMPT: &str = "shell> ";

/// The keys that tests press.
pub mod keys {
    pub const CTRL_C: &str = "\x03";
    pub const CTRL_D: &str = "\x04";
    pub const CTRL_R: &str = "\x12";
    pub const CTRL_Z: &str = "\x1a";
    pub const ENTER: &str = "\r";
    pub const UP: &str = "\x1b[A";
}

/// A shell in a terminal; it ends with this.
pub struct Terminal {
    screen: Arc<Mutex<Parser>>,
    master: Box<dyn MasterPty + Send>,
    input: Box<dyn Write + Send>,
    shell: Box<dyn Child + Send + Sync>,
}

fn size(columns: u16, lines: u16) -> PtySize {
    PtySize { rows: lines, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn count(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

impl Terminal {
    /// A shell in a project's folder that knows `spot`, on a screen of this size.
    pub fn open(spot: &Spot, columns: u16, lines: u16) -> Self {
        let pair = native_pty_system().openpty(size(columns, lines)).unwrap();
        let mut command = CommandBuilder::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        command.cwd(spot.folder());
        command.env_clear();
        let binary = Path::new(env!("CARGO_BIN_EXE_spot")).parent().unwrap();
        command.env("PATH", format!("{}:{}", binary.display(), std::env::var("PATH").unwrap()));
        command.env("HOME", spot.folder());
        command.env("LANG", "C.UTF-8");
        command.env("TERM", "xterm-256color");
        command.env("PS1", PROMPT);
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let shell = pair.slave.spawn_command(command).unwrap();
        let screen = Arc::new(Mutex::new(Parser::new(count(lines), count(columns), 1000)));
        let mut output = pair.master.try_clone_reader().unwrap();
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..read]);
            }
        });
        let input = pair.master.take_writer().unwrap();
        let terminal = Terminal { screen, master: pair.master, input, shell };
        terminal.shows(PROMPT);
        terminal
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Types a line and Enter.
    pub fn line(&mut self, text: &str) {
        self.press(text);
        self.press(keys::ENTER);
    }

    /// What is on the screen, without what has scrolled out of it.
    pub fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Whether a program has taken the whole screen.
    pub fn is_taken(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Whether the cursor can be seen.
    pub fn has_cursor(&self) -> bool {
        !self.screen.lock().unwrap().screen().hide_cursor()
    }

    /// Gives the window another size.
    pub fn resize(&self, columns: u16, lines: u16) {
        self.screen.lock().unwrap().set_size(count(lines), count(columns));
        self.master.resize(size(columns, lines)).unwrap();
    }

    /// Waits until the screen is as described.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn(&Self, &str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let contents = self.contents();
            if holds(self, &contents) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: not on the screen\n{contents}\n");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.until(text, |_, contents| contents.contains(text));
    }

    /// Waits for the shell's prompt on the last line that has something.
    #[track_caller]
    pub fn prompts(&self) {
        self.until("the shell's prompt", |terminal, contents| {
            !terminal.is_taken() && contents.trim_end().ends_with(PROMPT.trim_end())
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A shell that has ended already is as good.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
