//! A connection that ends, falls silent or is slow on purpose.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::faults::{Ending, Moment};
use super::trouble::Trouble;

/// How much of the line with which the server introduces itself arrives before it breaks off.
const HALF_A_BANNER: u64 = 10;
/// How often a host that hangs is asked whether it still does.
const HANG: Duration = Duration::from_millis(50);
/// How much is read ahead of its time when packets are late.
const READ_AHEAD: usize = 4 * 1024 * 1024;

/// A TCP connection with the faults of its host.
pub(super) struct FaultyStream {
    inner: TcpStream,
    trouble: Arc<Trouble>,
    plan: Option<(Moment, Ending)>,
    /// Whether the client has logged in; set by who knows.
    logged_in: Arc<AtomicBool>,
    received: u64,
    sent: u64,
    /// Whether the client has introduced itself.
    introduced: bool,
    over: bool,
    /// What has arrived, and when it is to be believed.
    late: VecDeque<(Instant, Bytes)>,
    held: usize,
    ended: bool,
    timer: Pin<Box<Sleep>>,
}

impl FaultyStream {
    /// The connection, with what is to happen to it.
    pub(super) fn new(
        inner: TcpStream,
        trouble: Arc<Trouble>,
        plan: Option<(Moment, Ending)>,
        logged_in: Arc<AtomicBool>,
    ) -> FaultyStream {
        let over = matches!(plan, Some((Moment::Connect, _)));
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        FaultyStream {
            inner,
            trouble,
            plan,
            logged_in,
            received: 0,
            sent: 0,
            introduced: false,
            over,
            late: VecDeque::new(),
            held: 0,
            ended: false,
            timer,
        }
    }

    /// Ends the connection the way it is planned, or never returns.
    fn end<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.over = true;
        match self.plan {
            Some((_, Ending::Silence)) | None => return Poll::Pending,
            Some((_, Ending::Close)) => {
                // Closing with something unread, or still to come, would be a reset: the client closes first.
                let mut inner = Pin::new(&mut self.inner);
                ready!(inner.as_mut().poll_shutdown(context))?;
                let mut rest = [0; 4096];
                loop {
                    let mut rest = ReadBuf::new(&mut rest);
                    ready!(inner.as_mut().poll_read(context, &mut rest))?;
                    if rest.filled().is_empty() {
                        break;
                    }
                }
            }
            Some((_, Ending::Reset)) => {
                // An error here means that the connection is gone already.
                let _ = self.inner.set_zero_linger();
            }
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    /// Waits while the host hangs.
    fn wait_out_a_hang(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.trouble.now().hangs {
            self.timer.as_mut().reset(Instant::now() + HANG);
            ready!(self.timer.as_mut().poll(context));
        }
        Poll::Ready(())
    }

    /// Takes what has arrived, late or not.
    fn poll_arrived(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let latency = self.trouble.now().latency;
        if latency.is_zero() && self.late.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        while !self.ended && self.held < READ_AHEAD {
            let mut room = [0; 16 * 1024];
            let mut room = ReadBuf::new(&mut room);
            match Pin::new(&mut self.inner).poll_read(context, &mut room) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    self.ended = room.filled().is_empty();
                    self.held += room.filled().len();
                    self.late.push_back((Instant::now() + latency, Bytes::copy_from_slice(room.filled())));
                }
            }
        }
        let Some((due, data)) = self.late.front_mut() else { return Poll::Pending };
        if *due > Instant::now() {
            let due = *due;
            self.timer.as_mut().reset(due);
            ready!(self.timer.as_mut().poll(context));
        }
        let size = data.len().min(buffer.remaining());
        buffer.put_slice(&data[..size]);
        data.advance(size);
        self.held -= size;
        // The end stays in the queue: whoever asks again is told again.
        if data.is_empty() && !(self.ended && self.late.len() == 1) {
            self.late.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.over {
            return this.end(context);
        }
        ready!(this.wait_out_a_hang(context));
        let Some(plan) = this.plan.map(|(at, _)| at) else { return this.poll_arrived(context, buffer) };
        let mut room = [0; 16 * 1024];
        let mut size = buffer.remaining().min(room.len());
        if let Moment::Received(limit) = plan {
            let left = limit.saturating_sub(this.received);
            if left == 0 {
                return this.end(context);
            }
            size = size.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let mut room = ReadBuf::new(&mut room[..size]);
        ready!(this.poll_arrived(context, &mut room))?;
        let data = room.filled();
        // Who has logged in has heard so before it says anything more: that is what nobody hears.
        if plan == Moment::Login && this.logged_in.load(Ordering::Relaxed) && !data.is_empty() {
            return this.end(context);
        }
        // The exchange of keys begins after the line with which the client introduces itself.
        let line_end = data.iter().position(|byte| *byte == b'\n');
        let begun = this.introduced && !data.is_empty() || line_end.is_some_and(|end| end + 1 < data.len());
        if plan == Moment::KeyExchange && begun {
            return this.end(context);
        }
        this.introduced |= line_end.is_some();
        this.received += data.len() as u64;
        buffer.put_slice(data);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.over {
            return this.end(context);
        }
        ready!(this.wait_out_a_hang(context));
        let limit = match this.plan {
            Some((Moment::Banner, _)) => HALF_A_BANNER,
            Some((Moment::Sent(limit), _)) => limit,
            _ => return Pin::new(&mut this.inner).poll_write(context, data),
        };
        let left = limit.saturating_sub(this.sent);
        if left == 0 {
            return this.end(context);
        }
        let size = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let written = ready!(Pin::new(&mut this.inner).poll_write(context, &data[..size]))?;
        this.sent += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.over && !matches!(this.plan, Some((_, Ending::Close))) {
            // Neither a silent connection nor one that is reset says goodbye.
            return if matches!(this.plan, Some((_, Ending::Reset))) {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        }
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}
