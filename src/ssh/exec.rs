//! Running a command: sending it, watching it, ending it when its time is up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::capture::{Capture, Lines};
use super::command::{Command, Output, Stream};
use super::pool::{Attempts, Pool};
use super::session::{NoChannel, Session, SessionChannel};
use super::target::Target;
use super::wrapper;
use crate::error::{Error, Result};

/// A command that ended may have left a process behind that holds its output open. We listen on
/// until nothing has come for this long…
const QUIET_AFTER_EXIT: Duration = Duration::from_secs(3);
/// … or this long after the end, whatever comes.
const LINGER_AFTER_EXIT: Duration = Duration::from_secs(60);
/// How long ending a command may take.
const KILL_PATIENCE: Duration = Duration::from_secs(8);
/// The same when the user waits for the prompt to come back.
const KILL_PATIENCE_INTERRUPTED: Duration = Duration::from_millis(500);

/// The terminal that a command gets which asks for one: nobody looks at it.
const PTY_NAME: &str = "xterm";
/// Its columns and lines.
const PTY_SIZE: (u32, u32) = (200, 50);
/// Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// Runs a command to its end.
pub async fn run(
    pool: &Arc<Pool>,
    target: &Target,
    command: &Command,
    attempts: Attempts,
    on_line: &(dyn Fn(Stream, &str) + Send + Sync),
) -> Result<Output> {
    let nonce = format!("spot-{:016x}", rand::random::<u64>());
    let instructions = wrapper::instructions(command, &nonce)?.into_bytes();
    let opened = tokio::select! {
        biased;
        () = pool.cancel.cancelled() => return Err(Error::interrupted()),
        opened = pool.open(target, attempts) => opened,
    };
    let (session, channel) = opened?;
    let run = Run {
        pool,
        session: &session,
        target,
        command,
        received: Received::new(command, &target.id, nonce, on_line),
        started: Instant::now(),
    };
    run.follow(channel, instructions).await
}

/// A command under way.
struct Run<'a> {
    pool: &'a Arc<Pool>,
    session: &'a Session,
    target: &'a Target,
    command: &'a Command,
    received: Received<'a>,
    started: Instant,
}

impl Run<'_> {
    async fn follow(mut self, mut channel: SessionChannel, instructions: Vec<u8>) -> Result<Output> {
        let SessionChannel { reader, writer, .. } = &mut channel;
        let writer = writer.half()?;
        if self.command.pty {
            writer
                .request_pty(true, PTY_NAME, PTY_SIZE.0, PTY_SIZE.1, 0, 0, wrapper::PTY_MODES)
                .await
                .map_err(|error| self.session.lost(&error.to_string()))?;
        }
        writer
            .exec(true, wrapper::BOOTSTRAP)
            .await
            .map_err(|error| self.session.lost(&error.to_string()).retryable(false))?;
        let deadline = self.command.timeout.map(|limit| self.started + limit);
        let ready = Notify::new();
        let (input, pty) = (typed(self.command), self.command.pty);
        let feed = async {
            // A command that ends without reading its input closes the channel under us.
            let told = writer.data_bytes(instructions).await;
            if pty {
                ready.notified().await;
            }
            if told.is_ok() && writer.data_bytes(input).await.is_ok() {
                let _ = writer.eof().await;
            }
        };
        tokio::pin!(feed);
        let mut fed = false;
        loop {
            let until = [deadline, self.received.give_up_at()].into_iter().flatten().min();
            let message = tokio::select! {
                biased;
                () = self.pool.cancel.cancelled() => {
                    self.kill(reader, writer, KILL_PATIENCE_INTERRUPTED).await;
                    return Err(Error::interrupted());
                }
                () = &mut feed, if !fed => {
                    fed = true;
                    continue;
                }
                () = sleep_until(until.unwrap_or(self.started)), if until.is_some() => {
                    if self.received.exited.is_some() {
                        break;
                    }
                    return Err(self.out_of_time(reader, writer).await);
                }
                message = reader.wait() => message,
            };
            match message {
                None | Some(ChannelMsg::Close) => break,
                Some(ChannelMsg::Failure) => {
                    let message = format!("{} refused to run a command", self.target);
                    return Err(Error::ssh(message).with_code("ExecRefused"));
                }
                Some(message) => {
                    self.received.take(message);
                    if self.received.group.is_some() {
                        ready.notify_one();
                    }
                }
            }
        }
        if self.received.exited.is_none() && self.session.is_closed() {
            let error = self.session.lost("the command was under way, and may or may not have ended");
            // Whether it ran is not known: nobody may run it again on their own account.
            return Err(error.retryable(false));
        }
        Ok(self.received.finish(self.started.elapsed()))
    }

    async fn out_of_time(&self, reader: &mut ChannelReadHalf, writer: &ChannelWriteHalf<Msg>) -> Error {
        let killed = self.kill(reader, writer, KILL_PATIENCE).await;
        let limit = self.command.timeout.unwrap_or_default();
        let after = if killed { "its processes were killed" } else { "its processes may still be running" };
        let error =
            Error::timeout(format!("a command on {} did not end within {limit:?}; {after}", self.target))
                .with_code("CommandTimeout")
                // Half of it was done: whether to run it again is for the recipe to say.
                .retryable(false);
        match killed {
            true => error.with_hint("give it a longer `timeout`"),
            false => error.with_hint("log in and look; then give it a longer `timeout`"),
        }
    }

    /// Ends the remote process group. Returns whether it is known to be gone.
    async fn kill(
        &self,
        reader: &mut ChannelReadHalf,
        writer: &ChannelWriteHalf<Msg>,
        patience: Duration,
    ) -> bool {
        let until = Instant::now() + patience;
        if let Some(group) = self.received.group {
            match timeout_at(until, self.kill_group(self.session, group)).await {
                Ok(Ok(gone)) => return gone,
                // The server allows no second channel: a connection of its own, then.
                Ok(Err(_)) => {
                    let apart = async {
                        self.kill_group(&self.pool.connect(self.target).await.ok()?, group).await.ok()
                    };
                    if let Ok(Some(gone)) = timeout_at(until, apart).await {
                        return gone;
                    }
                }
                Err(_) => return false,
            }
        }
        // The last resort: ask the server to deliver the signal.
        if writer.signal(Sig::KILL).await.is_err() {
            return self.session.is_closed();
        }
        let ended = async {
            loop {
                match reader.wait().await {
                    None | Some(ChannelMsg::Close) => return !self.session.is_closed(),
                    Some(ChannelMsg::ExitSignal { .. } | ChannelMsg::ExitStatus { .. }) => return true,
                    Some(_) => {}
                }
            }
        };
        timeout(patience / 2, ended).await.unwrap_or(false)
    }

    async fn kill_group(&self, session: &Session, group: u32) -> Result<bool, NoChannel> {
        // Outside of the queue: the command to be killed holds a place in it.
        let channel = session.open_at_once().await?;
        let answer = ask(session, channel, wrapper::kill_script(group)).await.map_err(NoChannel::Refused)?;
        Ok(answer.starts_with(b"gone"))
    }
}

/// The input of a command. A terminal has no end of input but a character, which counts as one only
/// at the beginning of a line, or twice.
fn typed(command: &Command) -> Vec<u8> {
    let mut input = command.stdin.clone().unwrap_or_default();
    if command.pty {
        if input.last().is_some_and(|last| *last != b'\n') {
            input.push(END_OF_INPUT);
        }
        input.push(END_OF_INPUT);
    }
    input
}

/// Runs a short script to clean up, also after an interruption. Returns its standard output.
pub async fn aside(pool: &Arc<Pool>, target: &Target, script: String) -> Result<Vec<u8>> {
    let (session, channel) = pool.open(target, Attempts::One).await?;
    ask(&session, channel, script).await
}

async fn ask(session: &Session, mut channel: SessionChannel, script: String) -> Result<Vec<u8>> {
    let lost = |error: russh::Error| session.lost(&error.to_string());
    channel.writer.half()?.exec(true, script).await.map_err(lost)?;
    let mut answer = Vec::new();
    while let Some(message) = channel.reader.wait().await {
        match message {
            ChannelMsg::Data { data } => answer.extend_from_slice(&data),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    Ok(answer)
}

/// What has come from the command so far.
struct Received<'a> {
    on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
    stdout: Sink,
    stderr: Sink,
    /// Whether both streams come as one.
    pty: bool,
    /// Standard error before the line with the process group, while that is being looked for.
    preamble: Option<Vec<u8>>,
    nonce: String,
    group: Option<u32>,
    status: Option<u32>,
    signal: Option<String>,
    exited: Option<Instant>,
    last_news: Instant,
}

struct Sink {
    capture: Capture,
    lines: Lines,
}

impl Sink {
    fn new(limit: usize, spill: Option<PathBuf>) -> Self {
        Sink { capture: Capture::new(limit, spill), lines: Lines::default() }
    }
}

/// The login shell's start-up files may write this much to standard error before our line.
const PREAMBLE_LIMIT: usize = 64 * 1024;

impl<'a> Received<'a> {
    fn new(
        command: &Command,
        host: &str,
        nonce: String,
        on_line: &'a (dyn Fn(Stream, &str) + Send + Sync),
    ) -> Self {
        let limit = command.capture_limit;
        let spill = |stream: &str| {
            let name = host.replace(['/', '\0'], "_");
            Some(command.spill.as_ref()?.join(format!("{name}-{nonce}.{stream}")))
        };
        Received {
            on_line,
            stdout: Sink::new(limit, spill("stdout")),
            stderr: Sink::new(limit, spill("stderr")),
            pty: command.pty,
            preamble: Some(Vec::new()),
            nonce,
            group: None,
            status: None,
            signal: None,
            exited: None,
            last_news: Instant::now(),
        }
    }

    /// When to stop listening although the channel is still open.
    fn give_up_at(&self) -> Option<Instant> {
        let exited = self.exited?;
        Some((self.last_news + QUIET_AFTER_EXIT).min(exited + LINGER_AFTER_EXIT))
    }

    fn take(&mut self, message: ChannelMsg) {
        self.last_news = Instant::now();
        match message {
            ChannelMsg::Data { data } if self.pty => self.take_with_preamble(Stream::Stdout, &data),
            ChannelMsg::Data { data } => self.write(Stream::Stdout, &data),
            ChannelMsg::ExtendedData { data, ext: 1 } => self.take_with_preamble(Stream::Stderr, &data),
            ChannelMsg::ExitStatus { exit_status } => {
                self.status = Some(exit_status);
                self.exited.get_or_insert(self.last_news);
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.signal = Some(signal_word(signal_name));
                self.exited.get_or_insert(self.last_news);
            }
            _ => {}
        }
    }

    /// A stream, with the line that names the process group taken out.
    fn take_with_preamble(&mut self, stream: Stream, data: &[u8]) {
        let Some(mut preamble) = self.preamble.take() else {
            self.write(stream, data);
            return;
        };
        preamble.extend_from_slice(data);
        let start = preamble.windows(self.nonce.len()).position(|part| part == self.nonce.as_bytes());
        let end = start.and_then(|start| {
            let line = preamble.get(start..)?;
            line.iter().position(|byte| *byte == b'\n').map(|end| start + end)
        });
        match (start, end) {
            (Some(start), Some(end)) => {
                let line = String::from_utf8_lossy(preamble.get(start..end).unwrap_or_default()).into_owned();
                self.group = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 1);
                preamble.drain(start..=end);
                self.write(stream, &preamble);
            }
            _ if preamble.len() > PREAMBLE_LIMIT => self.write(stream, &preamble),
            _ => self.preamble = Some(preamble),
        }
    }

    fn write(&mut self, stream: Stream, data: &[u8]) {
        let sink = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        sink.capture.push(data);
        sink.lines.push(data, &mut |line| (self.on_line)(stream, line));
    }

    fn finish(mut self, duration: Duration) -> Output {
        if let Some(preamble) = self.preamble.take() {
            self.write(if self.pty { Stream::Stdout } else { Stream::Stderr }, &preamble);
        }
        self.stdout.lines.finish(&mut |line| (self.on_line)(Stream::Stdout, line));
        self.stderr.lines.finish(&mut |line| (self.on_line)(Stream::Stderr, line));
        let (stdout, stderr) = (self.stdout.capture.finish(), self.stderr.capture.finish());
        Output {
            status: self.status,
            signal: self.signal,
            truncated: stdout.left_out + stderr.left_out,
            stdout: stdout.text,
            stderr: stderr.text,
            stdout_file: stdout.file,
            stderr_file: stderr.file,
            duration,
        }
    }
}

/// The name of a signal, without `SIG`.
pub fn signal_word(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn stderr_of(pieces: &[&str]) -> (Option<u32>, String, Vec<String>) {
        let seen = Mutex::new(Vec::new());
        let on_line = |_: Stream, line: &str| seen.lock().unwrap().push(line.to_owned());
        let mut received = Received::new(&Command::new(""), "i-1", "NONCE".into(), &on_line);
        for piece in pieces {
            received.take_with_preamble(Stream::Stderr, piece.as_bytes());
        }
        let group = received.group;
        let output = received.finish(Duration::ZERO);
        (group, output.stderr, seen.into_inner().unwrap())
    }

    #[test]
    fn the_line_with_the_process_group_is_taken_out_however_it_is_cut() {
        let whole = "profile noise\nNONCE 4711\nreal error\n";
        let expected = (
            Some(4711),
            "profile noise\nreal error\n".to_owned(),
            vec!["profile noise".to_owned(), "real error".to_owned()],
        );
        for cut in 0..whole.len() {
            let (first, second) = whole.split_at(cut);
            assert_eq!(stderr_of(&[first, second]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn standard_error_without_our_line_is_kept() {
        assert_eq!(
            stderr_of(&["This account is ", "not available.\n"]).1,
            "This account is not available.\n"
        );
        assert_eq!(stderr_of(&["NONCE 1\n"]).0, None, "never kill everything");
        assert_eq!(stderr_of(&["NONCE 0\n"]).0, None);
    }
}
