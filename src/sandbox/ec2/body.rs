//! The body of an answer: whole, or broken off on purpose.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// An answer was lost: hyper closes the connection without (the rest of) it.
#[derive(Debug)]
pub(super) struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer was lost on purpose")
    }
}

impl std::error::Error for Lost {}

impl From<Infallible> for Lost {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Bytes that are sent, perhaps fewer than were announced.
#[derive(Debug)]
pub(super) struct Sent {
    bytes: Bytes,
    announced: u64,
    breaks: bool,
    /// Whether what was sent before the break has had its turn to go out.
    waited: bool,
}

impl Sent {
    /// All of them.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Sent { announced: bytes.len() as u64, bytes, breaks: false, waited: false }
    }

    /// The first half, then the connection is dropped.
    pub fn half(bytes: impl Into<Bytes>) -> Self {
        let whole = bytes.into();
        Sent {
            announced: whole.len() as u64,
            bytes: whole.slice(..whole.len() / 2),
            breaks: true,
            waited: false,
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Lost;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Lost>>> {
        let sent = self.get_mut();
        if !sent.bytes.is_empty() {
            let bytes = std::mem::take(&mut sent.bytes);
            sent.announced = sent.announced.saturating_sub(bytes.len() as u64);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if sent.breaks && !std::mem::replace(&mut sent.waited, true) {
            // An error now would also throw away what hyper has not written yet.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match std::mem::take(&mut sent.breaks) {
            true => Poll::Ready(Some(Err(Lost))),
            false => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
