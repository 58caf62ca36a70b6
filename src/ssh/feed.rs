//! A script on a host that reads a stream of ours: no protocol of files is as fast, and none needs
//! fewer round trips.

use bytes::Bytes;
use russh::ChannelMsg;

use super::command::Command;
use super::quote;
use super::session::{Session, SessionChannel};
use super::target::Target;
use super::wrapper;
use crate::error::{Error, Result};

/// How much of standard error is kept; the reason stands in its last line.
const STDERR_LIMIT: usize = 64 * 1024;

/// How a script ended.
#[derive(Debug, Default)]
pub struct Ended {
    pub status: Option<u32>,
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
    nonce: String,
}

/// Where the pieces of a stream come from. An empty piece is its end.
pub trait Supply {
    /// The next piece.
    async fn next(&mut self) -> Result<Bytes>;
}

/// A stream of nothing.
pub struct Nothing;

impl Supply for Nothing {
    async fn next(&mut self) -> Result<Bytes> {
        Ok(Bytes::new())
    }
}

/// Runs a script of `sh` in the home folder and hands it the stream on its standard input. At most
/// `limit` bytes of its output are kept.
///
/// # Errors
/// Code `SessionLost` (retryable) if the connection broke before the script ended; those of the
/// stream, whose end the script then never sees as complete.
pub async fn run(
    session: &Session,
    mut channel: SessionChannel,
    sudo: bool,
    script: &str,
    limit: usize,
    supply: &mut impl Supply,
) -> Result<Ended> {
    let nonce = format!("spot-{:016x}", rand::random::<u64>());
    let mut command = Command::new(format!("exec sh -c {}", quote(script)));
    command.sudo = sudo;
    let instructions = wrapper::instructions(&command, &nonce)?.into_bytes();
    let SessionChannel { reader, writer, .. } = &mut channel;
    let writer = writer.half()?;
    let lost = |error: russh::Error| session.lost(&error.to_string());
    writer.exec(true, wrapper::BOOTSTRAP).await.map_err(lost)?;
    let feed = async {
        let mut piece = Bytes::from(instructions);
        while !piece.is_empty() {
            // A script that ends before the stream does says why with its status.
            if writer.data_bytes(piece).await.is_err() {
                return Ok(());
            }
            piece = supply.next().await?;
        }
        // Likewise.
        let _ = writer.eof().await;
        Ok::<(), Error>(())
    };
    tokio::pin!(feed);
    let mut fed = false;
    let mut ended = Ended { nonce, ..Ended::default() };
    let mut signalled = false;
    loop {
        let message = tokio::select! {
            biased;
            message = reader.wait() => message,
            result = &mut feed, if !fed => {
                fed = true;
                result?;
                continue;
            }
        };
        match message {
            None | Some(ChannelMsg::Close) => break,
            Some(ChannelMsg::Failure) => return Ok(ended),
            Some(ChannelMsg::Data { data }) => keep(&mut ended.stdout, &data, limit),
            Some(ChannelMsg::ExtendedData { data, .. }) => keep(&mut ended.stderr, &data, STDERR_LIMIT),
            Some(ChannelMsg::ExitStatus { exit_status }) => ended.status = Some(exit_status),
            Some(ChannelMsg::ExitSignal { .. }) => signalled = true,
            Some(_) => {}
        }
    }
    if ended.status.is_none() && !signalled {
        return Err(session.lost("a transfer was under way"));
    }
    Ok(ended)
}

fn keep(kept: &mut Vec<u8>, data: &[u8], limit: usize) {
    let room = limit.saturating_sub(kept.len()).min(data.len());
    kept.extend_from_slice(data.get(..room).unwrap_or_default());
}

impl Ended {
    /// Whether it ended with status 0.
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// The error of a script that ended otherwise, with a code for the causes that users can mend.
    pub fn failure(&self, target: &Target, doing: &str) -> Error {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.filter(|line| !line.starts_with(&self.nonce)).collect();
        // Programs go on after the line that matters, with what follows from it.
        let known = lines.iter().find_map(|line| cause(line).map(|cause| (*line, cause)));
        let reason = known.map(|(line, _)| line).or(lines.last().copied()).unwrap_or("no reason given");
        let error = Error::ssh(format!("cannot {doing} on {target}: {reason}"));
        match known.map(|(_, code)| code) {
            Some("DiskFull") => error
                .with_code("DiskFull")
                .with_hint("free some space there (df -h), or launch with a larger disk"),
            Some("PermissionDenied") => error
                .with_code("PermissionDenied")
                .with_hint(format!("{} may not do this: use `sudo: true`", target.user)),
            Some("SudoFailed") => error
                .with_code("SudoFailed")
                .with_hint(format!("{} needs sudo without a password there", target.user)),
            Some(code) => error.with_code(code),
            None => error.with_code("TransferFailed"),
        }
    }
}

fn cause(line: &str) -> Option<&'static str> {
    let says = |text: &str| line.contains(text);
    match line {
        _ if line.starts_with("sudo:") => Some("SudoFailed"),
        _ if says("No space left") || says("quota exceeded") => Some("DiskFull"),
        _ if says("Permission denied") || says("Operation not permitted") => Some("PermissionDenied"),
        _ if says("Read-only file system") => Some("ReadOnly"),
        _ if says("is a folder") || says("Is a directory") || says("with non-directory") => Some("InTheWay"),
        _ if says("Not a directory") || says("File exists") => Some("InTheWay"),
        _ if says("spot: checksum") => Some("ChecksumMismatch"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_matters_gives_the_code() {
        let target = Target { id: "i-1".into(), address: "a".into(), port: 22, user: "u".into() };
        let stderr = b"N 12\ndd: error writing 'x': No space left on device\nrm: odd\n".to_vec();
        let ended = Ended { status: Some(1), stdout: Vec::new(), stderr, nonce: "N".into() };
        let error = ended.failure(&target, "write /x");
        assert_eq!(error.code(), Some("DiskFull"));
        assert!(error.message().ends_with("No space left on device"), "{error}");
        let ended = Ended { nonce: "N".into(), stderr: b"N 12\n".to_vec(), ..Ended::default() };
        assert!(ended.failure(&target, "write /x").message().ends_with("no reason given"));
    }
}
