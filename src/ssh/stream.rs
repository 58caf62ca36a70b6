//! The bytes of a connection, whatever carries them.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::target::Target;
use crate::error::{Error, Result};

/// Both directions of a connection.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carrier for T {}

/// The reads of a new connection that are answered at once: up to the output of a first command.
const QUICK_READS: u8 = 64;

/// Connects over TCP and waits until a server speaks.
///
/// # Errors
/// Codes `ConnectionRefused`, `ConnectTimeout`, `HostUnreachable`, `AddressUnknown`,
/// `ConnectionLost`; all retryable.
pub async fn reach(target: &Target, limit: Duration) -> Result<Box<dyn Carrier>> {
    let connecting = TcpStream::connect((target.address.as_str(), target.port));
    let stream = match timeout(limit, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable_because(target, &error)),
        Err(_) => {
            return Err(failure("ConnectTimeout", format!("{target} did not answer within {limit:?}"))
                .with_hint("is the address public, and does the security group allow this port?"));
        }
    };
    // A failure to set an option is no reason to give up a connection.
    let _ = stream.set_nodelay(true);
    match timeout(limit, stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => Ok(Box::new(Prompt { stream, left: QUICK_READS })),
        Ok(Ok(_)) => {
            Err(failure("ConnectionLost", format!("{target} accepted the connection and closed it")))
        }
        Ok(Err(error)) => Err(unreachable_because(target, &error)),
        Err(_) => {
            let message =
                format!("{target} accepted the connection but no SSH server spoke within {limit:?}");
            Err(failure("ConnectTimeout", message))
        }
    }
}

/// Starts a command whose standard input and output lead to a host (`ProxyCommand`).
///
/// # Errors
/// Code `ProxyFailed`.
pub fn through_command(target: &Target, line: &str) -> Result<Box<dyn Carrier>> {
    let failed = |error: io::Error| {
        Error::ssh(format!("the command that leads to {target} cannot be started: {error}"))
            .with_code("ProxyFailed")
    };
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("exec {line}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::internal("a command was started without its standard input and output"));
    };
    Ok(Box::new(Piped { _child: child, stdin, stdout }))
}

/// A TCP connection that acknowledges at once what it reads in its first moments. The kernel would
/// hold acknowledgements back for 40 ms, and a server that sends two small packets waits for one.
struct Prompt {
    stream: TcpStream,
    left: u8,
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ready = Pin::new(&mut self.stream).poll_read(cx, buf);
        if ready.is_ready() && self.left > 0 {
            self.left -= 1;
            // The kernel forgets the option by itself, and a failure costs only time.
            #[cfg(target_os = "linux")]
            let _ = self.stream.set_quickack(true);
        }
        ready
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A command under way; it is killed when dropped.
struct Piped {
    _child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl AsyncRead for Piped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Piped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

fn unreachable_because(target: &Target, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused => "ConnectionRefused",
        io::ErrorKind::TimedOut => "ConnectTimeout",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "HostUnreachable",
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => "ConnectionLost",
        _ if error.raw_os_error().is_none() => "AddressUnknown",
        _ => "ConnectFailed",
    };
    failure(code, format!("cannot connect to {target}: {error}"))
}

fn failure(code: &str, message: String) -> Error {
    Error::ssh(message).with_code(code).retryable(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_refused_and_a_silent_one_times_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Target { id: "i-1".into(), address: "127.0.0.1".into(), port, user: "root".into() };
        let error = reach(&target, Duration::from_millis(50)).await.err().unwrap();
        assert_eq!(error.code(), Some("ConnectTimeout"), "{error}");
        drop(listener);
        let error = reach(&target, Duration::from_secs(5)).await.err().unwrap();
        assert_eq!(error.code(), Some("ConnectionRefused"), "{error}");
        assert!(error.is_retryable());
    }
}
