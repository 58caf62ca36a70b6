//! The process behind a channel: its input, output, signals and end.

use std::ffi::OsString;
use std::mem::discriminant;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, Pty, Sig};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::host::{Account, Host};
use super::namespace::Namespace;
use super::spool::Spool;
use super::trouble::Trouble;
use crate::error::{Error, Result};

/// The exit status of a command that could not be started, as `ssh` uses 255 for itself.
pub(super) const NOT_STARTED: u32 = 254;
/// How much output is passed on at once.
const OUTPUT_BUFFER: usize = 64 * 1024;
/// How long the end of a process waits for the end of its output, which a background process may
/// hold open for ever; after that the client learns the status, and output goes on.
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// What to run in a channel.
pub(super) struct Request {
    pub(super) program: Program,
    pub(super) environment: Vec<(String, String)>,
    pub(super) terminal: Option<Terminal>,
    pub(super) account: Account,
}

/// The program of a channel.
pub(super) enum Program {
    /// A command for the shell.
    Command(Vec<u8>),
    /// The login shell.
    Shell,
    /// A connection to a port that the host itself can reach: a forwarded one.
    Forward(String, u16),
}

impl Program {
    /// Whether it ends with its channel. As with sshd, a command without a terminal goes on.
    fn hangs_up(&self, terminal: Option<&Terminal>) -> bool {
        terminal.is_some() || matches!(self, Program::Forward(..))
    }
}

/// The terminal a client asked for.
#[derive(Debug, PartialEq)]
pub(super) struct Terminal {
    kind: String,
    rows: u32,
    columns: u32,
    /// What it does with what passes through, as stty(1) says it.
    modes: String,
}

/// The characters that mean something to a terminal (RFC 4254, section 8), with their names for stty(1).
const CHARACTERS: [(Pty, &str); 8] = [
    (Pty::VINTR, "intr"),
    (Pty::VQUIT, "quit"),
    (Pty::VERASE, "erase"),
    (Pty::VKILL, "kill"),
    (Pty::VEOF, "eof"),
    (Pty::VSTART, "start"),
    (Pty::VSTOP, "stop"),
    (Pty::VSUSP, "susp"),
];
/// No character, in the same place.
const NO_CHARACTER: u32 = 255;

/// What is on or off: those that every stty(1) of Linux knows.
const SWITCHES: [(Pty, &str); 26] = [
    (Pty::IGNPAR, "ignpar"),
    (Pty::PARMRK, "parmrk"),
    (Pty::INPCK, "inpck"),
    (Pty::ISTRIP, "istrip"),
    (Pty::INLCR, "inlcr"),
    (Pty::IGNCR, "igncr"),
    (Pty::ICRNL, "icrnl"),
    (Pty::IXON, "ixon"),
    (Pty::IXANY, "ixany"),
    (Pty::IXOFF, "ixoff"),
    (Pty::IMAXBEL, "imaxbel"),
    (Pty::ISIG, "isig"),
    (Pty::ICANON, "icanon"),
    (Pty::ECHO, "echo"),
    (Pty::ECHOE, "echoe"),
    (Pty::ECHOK, "echok"),
    (Pty::ECHONL, "echonl"),
    (Pty::NOFLSH, "noflsh"),
    (Pty::TOSTOP, "tostop"),
    (Pty::IEXTEN, "iexten"),
    (Pty::ECHOCTL, "echoctl"),
    (Pty::ECHOKE, "echoke"),
    (Pty::OPOST, "opost"),
    (Pty::ONLCR, "onlcr"),
    (Pty::OCRNL, "ocrnl"),
    (Pty::ONLRET, "onlret"),
];

/// The arguments of stty(1) for the modes that a client asks for; those that Linux does not have are left out.
fn modes_of(asked: &[(Pty, u32)]) -> String {
    let mut words = Vec::new();
    for (mode, value) in asked {
        if let Some((_, name)) = CHARACTERS.iter().find(|(known, _)| known == mode) {
            match *value {
                NO_CHARACTER => words.push(format!("{name} undef")),
                byte @ 0..NO_CHARACTER => words.push(format!("{name} {byte}")),
                _ => {}
            }
        } else if let Some((_, name)) = SWITCHES.iter().find(|(known, _)| known == mode) {
            words.push(format!("{}{name}", if *value == 0 { "-" } else { "" }));
        }
    }
    words.join(" ")
}

impl Terminal {
    /// A terminal of a kind known to terminfo, a size, and the modes that the client asks for.
    pub(super) fn new(kind: &str, rows: u32, columns: u32, modes: &[(Pty, u32)]) -> Terminal {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
        let kind = if kind.is_empty() || !kind.chars().all(safe) { "xterm" } else { kind };
        let (rows, columns) = size(rows, columns);
        Terminal { kind: kind.to_string(), rows, columns, modes: modes_of(modes) }
    }
}

/// A size that a terminal can have; clients without one say 0.
fn size(rows: u32, columns: u32) -> (u32, u32) {
    let side = |value: u32, default: u32| if value == 0 { default } else { value.min(10_000) };
    (side(rows, 24), side(columns, 80))
}

/// Runs the program and serves its channel until both are done with each other.
pub(super) async fn run(host: &Arc<Host>, request: Request, channel: Channel<Msg>, handle: &Handle) {
    let number = host.next_session();
    match start(host, &request, number).await {
        Ok((child, namespace)) => {
            let hangs_up = request.program.hangs_up(request.terminal.as_ref());
            let control = Control { namespace, number, hangs_up, terminal: request.terminal.is_some() };
            serve(child, control, channel, handle, host.trouble().clone()).await;
        }
        Err(error) => {
            let _ = channel.extended_data_bytes(1, format!("sandbox: {error}\n").into_bytes()).await;
            let _ = channel.exit_status(NOT_STARTED).await;
            let _ = channel.close().await;
        }
    }
}

async fn start(host: &Arc<Host>, request: &Request, number: u64) -> Result<(Child, Arc<Namespace>)> {
    let namespace = host.namespace().await?;
    let mut session = namespace.session();
    let kind = match (&request.terminal, &request.program) {
        (_, Program::Forward(..)) => "forward",
        (Some(_), _) => "terminal",
        (None, Program::Command(_)) => "exec",
        (None, Program::Shell) => "shell",
    };
    session.arg(kind).arg(number.to_string()).arg(&request.account.name).arg(request.account.home());
    for (name, value) in &request.environment {
        session.arg(format!("{name}={value}"));
    }
    if let Some(terminal) = &request.terminal {
        session.arg(format!("TERM={}", terminal.kind)).arg("--");
        session.arg(terminal.rows.to_string()).arg(terminal.columns.to_string()).arg(&terminal.modes);
    } else {
        session.arg("--");
    }
    match &request.program {
        Program::Command(command) => {
            session.arg(OsString::from_vec(command.clone()));
        }
        Program::Forward(host, port) => {
            session.arg(host).arg(port.to_string());
        }
        Program::Shell => {}
    }
    session.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child =
        session.spawn().map_err(|error| Error::internal(format!("cannot start the command: {error}")))?;
    Ok((child, namespace))
}

/// The way to reach a running session from outside: another session that does it.
struct Control {
    namespace: Arc<Namespace>,
    number: u64,
    hangs_up: bool,
    terminal: bool,
}

impl Control {
    fn signal(&self, signal: &str) {
        let mut session = self.session("signal");
        session.arg(signal);
        Self::forget(session);
    }

    fn resize(&self, rows: u32, columns: u32) {
        let (rows, columns) = size(rows, columns);
        let mut session = self.session("resize");
        session.arg(rows.to_string()).arg(columns.to_string());
        Self::forget(session);
    }

    fn session(&self, kind: &str) -> Command {
        let mut session = self.namespace.session();
        session.arg(kind).arg(self.number.to_string()).args(["root", "/root", "--"]);
        session
    }

    fn forget(mut session: Command) {
        session.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Nobody can be told when it fails; the runtime collects the process.
        if let Ok(mut child) = session.spawn() {
            tokio::spawn(async move { child.wait().await });
        }
    }
}

async fn serve(
    mut child: Child,
    control: Control,
    channel: Channel<Msg>,
    handle: &Handle,
    trouble: Arc<Trouble>,
) {
    let id = channel.id();
    let (mut messages, writer) = channel.split();
    let mut input =
        Input { pipe: child.stdin.take(), waiting: Spool::default(), ended: false, trouble: trouble.clone() };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut to_stdout, mut to_stderr) = (writer.make_writer(), writer.make_writer_ext(Some(1)));
    let output = async {
        tokio::join!(pass(stdout, &mut to_stdout, &trouble), pass(stderr, &mut to_stderr, &trouble))
    };
    tokio::pin!(output);

    let mut status: Option<ExitStatus> = None;
    let (mut drained, mut reported) = (false, false);
    loop {
        tokio::select! {
            message = messages.wait() => match message {
                None | Some(ChannelMsg::Close) => {
                    if control.hangs_up && status.is_none() {
                        control.signal("HUP");
                    }
                    break;
                }
                Some(message) => act(message, &control, &mut input),
            },
            () = input.pass_on(), if input.has_work() => {}
            ended = child.wait(), if status.is_none() => match ended {
                Ok(ended) => status = Some(ended),
                Err(_) => break,
            },
            _ = &mut output, if !drained => drained = true,
            () = tokio::time::sleep(DRAIN_TIME), if status.is_some() && !drained && !reported => {
                reported = true;
                report(handle, id, status).await;
            }
        }
        if drained && status.is_some() {
            if !reported {
                let _ = handle.eof(id).await;
                report(handle, id, status).await;
            }
            break;
        }
    }
    let _ = handle.close(id).await;
}

fn act(message: ChannelMsg, control: &Control, input: &mut Input) {
    match message {
        ChannelMsg::Data { data } if input.pipe.is_some() && !data.is_empty() => input.waiting.push(data),
        ChannelMsg::Eof => input.ended = true,
        ChannelMsg::Signal { signal } => {
            if let Some(name) = name_of(&signal) {
                control.signal(name);
            }
        }
        ChannelMsg::WindowChange { col_width, row_height, .. } if control.terminal => {
            control.resize(row_height, col_width);
        }
        _ => {}
    }
}

/// The input of the process.
struct Input {
    pipe: Option<ChildStdin>,
    waiting: Spool,
    ended: bool,
    trouble: Arc<Trouble>,
}

impl Input {
    fn has_work(&self) -> bool {
        self.pipe.is_some() && (self.ended || !self.waiting.is_empty())
    }

    /// Writes what the pipe takes; closes it after the last byte. May be cancelled at any time.
    async fn pass_on(&mut self) {
        let (Some(pipe), Some(data)) = (self.pipe.as_mut(), self.waiting.front()) else {
            if self.ended {
                self.pipe = None;
            }
            return;
        };
        self.trouble.disk_ready().await;
        match pipe.write(&data[..data.len().min(self.trouble.disk_portion())]).await {
            Ok(size) => {
                self.trouble.disk_works(size);
                self.waiting.advance(size);
            }
            Err(_) => {
                // The process does not read any more: what follows is dropped, as sshd does.
                self.pipe = None;
                self.waiting.clear();
            }
        }
    }
}

/// Passes output on until it ends or nobody wants it.
async fn pass(from: Option<impl AsyncRead + Unpin>, to: &mut (impl AsyncWrite + Unpin), pace: &Trouble) {
    let Some(from) = from else { return };
    let mut from = BufReader::with_capacity(OUTPUT_BUFFER, from);
    while let Ok(data) = from.fill_buf().await {
        let size = data.len();
        if size == 0 || to.write_all(data).await.is_err() {
            return;
        }
        from.consume(size);
        pace.put_out(size).await;
    }
}

async fn report(handle: &Handle, id: ChannelId, status: Option<ExitStatus>) {
    let Some(status) = status else { return };
    let _ = match (status.code(), status.signal()) {
        (Some(code), _) => handle.exit_status_request(id, u32::try_from(code).unwrap_or(NOT_STARTED)).await,
        (None, signal) => {
            let signal = signal_of(signal.unwrap_or_default());
            handle.exit_signal_request(id, signal, status.core_dumped(), String::new(), String::new()).await
        }
    };
}

/// The signals that SSH names, and what `kill -s` calls them.
const SIGNALS: [(i32, &str, Sig); 12] = [
    (1, "HUP", Sig::HUP),
    (2, "INT", Sig::INT),
    (3, "QUIT", Sig::QUIT),
    (4, "ILL", Sig::ILL),
    (6, "ABRT", Sig::ABRT),
    (8, "FPE", Sig::FPE),
    (9, "KILL", Sig::KILL),
    (10, "USR1", Sig::USR1),
    (11, "SEGV", Sig::SEGV),
    (13, "PIPE", Sig::PIPE),
    (14, "ALRM", Sig::ALRM),
    (15, "TERM", Sig::TERM),
];

fn signal_of(number: i32) -> Sig {
    let known = SIGNALS.iter().find(|(known, ..)| *known == number);
    known.map_or_else(|| Sig::Custom(format!("{number}@spot")), |(_, _, signal)| signal.clone())
}

fn name_of(signal: &Sig) -> Option<&'static str> {
    match signal {
        Sig::Custom(name) if name == "USR2" => Some("USR2"),
        Sig::Custom(_) => None,
        known => {
            SIGNALS.iter().find(|(_, _, signal)| discriminant(signal) == discriminant(known)).map(|row| row.1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_made_safe() {
        assert_eq!(
            Terminal::new("xterm-256color", 50, 0, &[]),
            Terminal { kind: "xterm-256color".into(), rows: 50, columns: 80, modes: String::new() }
        );
        assert_eq!(
            Terminal::new("x;reboot", 0, u32::MAX, &[(Pty::TTY_OP_OSPEED, 9600), (Pty::ECHO, 0)]),
            Terminal { kind: "xterm".into(), rows: 24, columns: 10_000, modes: "-echo".into() }
        );
    }

    #[test]
    fn modes_are_said_as_stty_says_them() {
        let asked =
            [(Pty::VINTR, 3), (Pty::VSUSP, 255), (Pty::VEOF, 70_000), (Pty::ICRNL, 1), (Pty::XCASE, 1)];
        assert_eq!(modes_of(&asked), "intr 3 susp undef icrnl");
    }

    #[test]
    fn signals_have_one_name_in_both_directions() {
        assert!(matches!(signal_of(15), Sig::TERM));
        assert_eq!(name_of(&Sig::TERM), Some("TERM"));
        assert!(matches!(signal_of(31), Sig::Custom(name) if name == "31@spot"));
        assert_eq!(name_of(&Sig::Custom("-9 1; reboot".into())), None);
    }
}
