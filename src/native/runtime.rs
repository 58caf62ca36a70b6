//! The only bridge between scripts, which are synchronous, and the network, which is not.
//!
//! Work is spawned on a runtime of our own and waited for through a channel. That works on a plain
//! thread and inside an embedding program's tokio runtime alike, where `block_on` would panic.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// Stack of the threads that scripts run on, the workers of `parallel` among them: what the limits of
/// the engine allow needs about a tenth of it. Only what is touched takes memory.
pub(crate) const STACK_SIZE: usize = 64 << 20;

/// How long after a second interrupt a waiting script takes to notice it.
const SLICE: Duration = Duration::from_millis(50);

/// A lazily started tokio runtime with the two degrees of interruption.
#[derive(Debug, Default)]
pub struct Runtime {
    runtime: OnceLock<Option<tokio::runtime::Runtime>>,
    cancel: Mutex<CancellationToken>,
    /// How many interrupts this run has had.
    interrupts: AtomicU32,
}

impl Runtime {
    fn token(&self) -> MutexGuard<'_, CancellationToken> {
        self.cancel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancelled at the first interrupt: no new work starts, work under way ends in good order.
    pub fn cancellation(&self) -> CancellationToken {
        self.token().clone()
    }

    /// Whether there was an interrupt; cheap enough to ask at every operation of a script.
    pub fn is_interrupted(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed) > 0
    }

    /// Whether there was a second interrupt: what is under way is not waited for.
    pub fn is_abandoned(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed) > 1
    }

    /// Forgets an interrupt: the next line of a session starts afresh. What holds the token of
    /// before stays cancelled and has to be made anew.
    pub fn reset(&self) {
        let mut token = self.token();
        *token = CancellationToken::new();
        self.interrupts.store(0, Ordering::Relaxed);
    }

    /// Interrupts: the first call cancels, the second stops waiting for what is still under way.
    /// Returns the how-manieth it is since the last [`Runtime::reset`].
    pub fn interrupt(&self) -> u32 {
        // The count is raised under the token's lock, as `reset` lowers it: never one without the other.
        let token = self.token();
        let degree = self.interrupts.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        token.cancel();
        degree
    }

    /// The handle of the runtime, started if need be.
    pub fn handle(&self) -> Result<&tokio::runtime::Handle> {
        let started = self.runtime.get_or_init(|| {
            let threads = std::thread::available_parallelism().map_or(2, usize::from).min(4);
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .thread_name("spot-network")
                .enable_all()
                .build()
                .ok()
        });
        let runtime = started.as_ref().ok_or_else(|| {
            Error::internal("the network threads could not be started")
                .with_hint("check the limit on processes: ulimit -u")
        })?;
        Ok(runtime.handle())
    }

    /// Runs `work` to its end and returns its result.
    ///
    /// Cancellation is the business of `work` itself, which holds the token: it knows what may be
    /// dropped and what has to be finished. Only a second interrupt stops the wait from outside.
    pub fn wait<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        if self.is_interrupted() {
            return Err(Error::interrupted());
        }
        self.finish(work)
    }

    /// Like [`Runtime::wait`], but also starts after an interrupt: for putting things in order.
    pub fn finish<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        let task = self.handle()?.spawn(async move {
            let result = work.await;
            // The receiver is gone only when the wait was abandoned.
            let _ = sender.send(result);
        });
        loop {
            match receiver.recv_timeout(SLICE) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::internal("a network task ended without a result"));
                }
                Err(RecvTimeoutError::Timeout) if self.is_abandoned() => {
                    task.abort();
                    return Err(Error::interrupted());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // A plain drop blocks, and panics inside another runtime.
        if let Some(Some(runtime)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn waits_on_a_plain_thread() {
        let runtime = Runtime::default();
        assert_eq!(runtime.wait(async { Ok(42) }).ok(), Some(42));
    }

    #[tokio::test]
    async fn waits_and_drops_inside_another_runtime() {
        let runtime = Runtime::default();
        assert_eq!(runtime.wait(async { Ok(42) }).ok(), Some(42));
        drop(runtime);
    }

    #[test]
    fn the_second_interrupt_abandons_work_that_ignores_the_first() {
        let runtime = std::sync::Arc::new(Runtime::default());
        let other = std::sync::Arc::clone(&runtime);
        let interrupter = std::thread::spawn(move || {
            other.interrupt();
            other.interrupt();
        });
        let result: Result<()> = runtime.finish(std::future::pending());
        assert_eq!(result.err().map(|e| e.kind()), Some(Kind::Interrupted));
        interrupter.join().unwrap();
        assert_eq!(runtime.wait(async { Ok(()) }).err().map(|e| e.kind()), Some(Kind::Interrupted));
    }

    #[test]
    fn interrupts_are_counted_until_the_next_run() {
        let runtime = Runtime::default();
        assert_eq!([runtime.interrupt(), runtime.interrupt(), runtime.interrupt()], [1, 2, 3]);
        runtime.reset();
        assert!(!runtime.is_interrupted() && !runtime.cancellation().is_cancelled());
        assert_eq!(runtime.interrupt(), 1);
    }

    #[test]
    fn a_panicking_task_is_an_error_and_not_a_hang() {
        let runtime = Runtime::default();
        let result: Result<()> = runtime.wait(async { panic!("on purpose") });
        assert_eq!(result.err().map(|e| e.kind()), Some(Kind::Internal));
    }
}
