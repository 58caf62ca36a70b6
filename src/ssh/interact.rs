//! A terminal, or a pipe, on this machine that is one on a host.

use std::sync::Arc;

use russh::{ChannelMsg, Sig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::pool::{Attempts, Pool};
use super::target::Target;
use crate::error::{Error, Result};

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
}

/// A terminal of this machine.
#[derive(Debug)]
pub struct Terminal {
    /// What it is called: the variable `TERM`.
    pub name: String,
    /// How big it is now.
    pub size: Size,
    /// How big it becomes.
    pub sizes: mpsc::Receiver<Size>,
}

/// What is run and where its input and output are.
pub struct Interaction<I, O, E> {
    /// A line for the login shell; none: the login shell itself.
    pub command: Option<String>,
    /// A terminal, in which case `errors` gets nothing; none: plain streams.
    pub terminal: Option<Terminal>,
    /// What is typed.
    pub input: I,
    /// What it writes.
    pub output: O,
    /// What it writes to standard error.
    pub errors: E,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The exit status; none if a signal ended it.
    pub status: Option<u32>,
    /// The signal, without `SIG`.
    pub signal: Option<String>,
}

/// Runs a command or a shell with the input and output of somebody who is there.
pub async fn interact<I, O, E>(
    pool: &Arc<Pool>,
    target: &Target,
    interaction: Interaction<I, O, E>,
) -> Result<Ending>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let Interaction { command, terminal, mut input, mut output, mut errors } = interaction;
    let opened = tokio::select! {
        biased;
        () = pool.cancel.cancelled() => return Err(Error::interrupted()),
        opened = pool.open(target, Attempts::Policy) => opened,
    };
    let (session, mut channel) = opened?;
    let lost = |error: russh::Error| session.lost(&error.to_string()).retryable(false);
    let writer = channel.writer.half()?;
    let mut sizes = None;
    if let Some(Terminal { name, size, sizes: later }) = terminal {
        writer.request_pty(false, &name, size.columns, size.rows, 0, 0, &[]).await.map_err(lost)?;
        sizes = Some(later);
    }
    match command {
        Some(line) => writer.exec(true, line).await.map_err(lost)?,
        None => writer.request_shell(true).await.map_err(lost)?,
    }
    let feed = async {
        let mut buffer = vec![0; 32 * 1024];
        let mut open = true;
        loop {
            tokio::select! {
                size = next(&mut sizes) => {
                    if writer.window_change(size.columns, size.rows, 0, 0).await.is_err() {
                        return;
                    }
                }
                read = input.read(&mut buffer), if open => match read {
                    Ok(read @ 1..) => {
                        let typed = buffer.get(..read).unwrap_or_default().to_vec();
                        if writer.data_bytes(typed).await.is_err() {
                            return;
                        }
                    }
                    // The end of the input, or a terminal that is gone.
                    Ok(_) | Err(_) => {
                        open = false;
                        let _ = writer.eof().await;
                    }
                },
            }
        }
    };
    tokio::pin!(feed);
    let mut fed = false;
    let mut ending = Ending { status: None, signal: None };
    loop {
        let message = tokio::select! {
            biased;
            () = pool.cancel.cancelled() => {
                // With a terminal the host hangs up by itself; without one it has to be told.
                let _ = writer.signal(Sig::INT).await;
                return Err(Error::interrupted());
            }
            message = channel.reader.wait() => message,
            () = &mut feed, if !fed => {
                fed = true;
                continue;
            }
        };
        match message {
            None | Some(ChannelMsg::Close) => break,
            Some(ChannelMsg::Failure) => {
                let message = format!("{target} refused to start a session");
                return Err(Error::ssh(message).with_code("ExecRefused"));
            }
            Some(ChannelMsg::Data { data }) => pass_on(&mut output, &data).await?,
            Some(ChannelMsg::ExtendedData { data, .. }) => pass_on(&mut errors, &data).await?,
            Some(ChannelMsg::ExitStatus { exit_status }) => ending.status = Some(exit_status),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                ending.signal = Some(super::exec::signal_word(signal_name));
            }
            Some(_) => {}
        }
    }
    if ending.status.is_none() && ending.signal.is_none() {
        return Err(session.lost("it ended without saying how").retryable(false));
    }
    Ok(ending)
}

/// The next size of the terminal; never, if there is none.
async fn next(sizes: &mut Option<mpsc::Receiver<Size>>) -> Size {
    let size = match sizes {
        Some(sizes) => sizes.recv().await,
        None => None,
    };
    match size {
        Some(size) => size,
        None => {
            *sizes = None;
            std::future::pending().await
        }
    }
}

async fn pass_on(output: &mut (impl AsyncWrite + Unpin), data: &[u8]) -> Result<()> {
    let written = async {
        output.write_all(data).await?;
        output.flush().await
    };
    written.await.map_err(|error: std::io::Error| {
        Error::ssh(format!("the output has nowhere to go: {error}")).with_code("OutputClosed")
    })
}
