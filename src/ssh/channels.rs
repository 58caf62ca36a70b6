//! How many channels a connection may have open at once.
//!
//! sshd refuses the eleventh session of a connection (`MaxSessions 10`), or an earlier one if its
//! administrator said so; there is no way to ask. So channels queue for a slot, a refusal lowers the
//! limit to what was open when it came, and successes raise it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// OpenSSH's default for `MaxSessions`.
const CEILING: usize = 10;

/// The slots of one connection.
#[derive(Debug)]
pub struct ChannelLimit {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    open: usize,
    limit: usize,
    /// Opened since the limit last changed.
    streak: usize,
}

/// The right to have one channel open; given back when dropped.
#[derive(Debug)]
pub struct ChannelSlot(Arc<ChannelLimit>);

impl ChannelLimit {
    /// A limit that starts at OpenSSH's default.
    pub fn new() -> Arc<Self> {
        let state = State { open: 0, limit: CEILING, streak: 0 };
        Arc::new(ChannelLimit { state: Mutex::new(state), freed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot.
    pub async fn acquire(self: &Arc<Self>) -> ChannelSlot {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before looking, so that a slot freed in between is not missed.
            freed.as_mut().enable();
            {
                let mut state = self.state();
                if state.open < state.limit {
                    state.open += 1;
                    return ChannelSlot(Arc::clone(self));
                }
            }
            freed.await;
        }
    }

    /// The server accepted a channel: after as many in a row as the limit, try one more at a time.
    pub fn accepted(&self) {
        let mut state = self.state();
        state.streak += 1;
        if state.limit < CEILING && state.streak > state.limit {
            state.limit += 1;
            state.streak = 0;
            drop(state);
            self.freed.notify_waiters();
        }
    }

    /// The server refused a channel. Returns whether others are open, so that waiting for one of
    /// them to end can help.
    pub fn refused(&self, slot: ChannelSlot) -> bool {
        let mut state = self.state();
        let others = state.open.saturating_sub(1);
        state.limit = others.max(1);
        state.streak = 0;
        drop(state);
        drop(slot);
        others > 0
    }
}

impl Drop for ChannelSlot {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open = state.open.saturating_sub(1);
        drop(state);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_refusal_lowers_the_limit_to_what_was_open() {
        let limit = ChannelLimit::new();
        let first = limit.acquire().await;
        let _second = limit.acquire().await;
        let third = limit.acquire().await;
        assert!(limit.refused(third));
        assert!(limit.acquire().now_or_never().is_none(), "two are open and two is the limit");
        drop(first);
        assert!(limit.acquire().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_refusal_with_nothing_open_is_final() {
        let limit = ChannelLimit::new();
        let only = limit.acquire().await;
        assert!(!limit.refused(only));
    }

    #[tokio::test]
    async fn successes_raise_a_lowered_limit() {
        let limit = ChannelLimit::new();
        let only = limit.acquire().await;
        limit.refused(only);
        limit.accepted();
        limit.accepted();
        let _first = limit.acquire().await;
        assert!(limit.acquire().now_or_never().is_some());
    }

    #[tokio::test]
    async fn waiters_get_freed_slots() {
        let limit = ChannelLimit::new();
        let mut tasks = Vec::new();
        for _ in 0..100 {
            let limit = Arc::clone(&limit);
            tasks.push(tokio::spawn(async move {
                let _slot = limit.acquire().await;
                tokio::task::yield_now().await;
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(limit.state().open, 0);
    }
}
