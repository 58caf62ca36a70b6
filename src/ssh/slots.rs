//! How much a server may be asked for at once, when there is no way to ask it how much that is.
//!
//! sshd refuses the eleventh session of a connection (`MaxSessions 10`), and drops connections when
//! more than some log in at once (`MaxStartups 10:30:100`), or earlier if its administrator said so.
//! So what is asked for queues for a slot, a refusal lowers the limit, and successes raise it again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The slots at one server.
#[derive(Debug)]
pub struct Slots {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    open: usize,
    limit: usize,
    ceiling: usize,
    /// Granted since the limit last changed.
    streak: usize,
}

/// The right to one thing that is limited; given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Slots>);

impl Slots {
    /// A limit that starts at a number, at least 1, and never grows beyond it.
    pub fn new(ceiling: usize) -> Arc<Self> {
        let ceiling = ceiling.max(1);
        let state = State { open: 0, limit: ceiling, ceiling, streak: 0 };
        Arc::new(Slots { state: Mutex::new(state), freed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot.
    pub async fn acquire(self: &Arc<Self>) -> Slot {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before looking, so that a slot freed in between is not missed.
            freed.as_mut().enable();
            {
                let mut state = self.state();
                if state.open < state.limit {
                    state.open += 1;
                    return Slot(Arc::clone(self));
                }
            }
            freed.await;
        }
    }

    /// The server granted one: after as many in a row as the limit, try one more at a time.
    pub fn accepted(&self) {
        let mut state = self.state();
        state.streak += 1;
        if state.limit < state.ceiling && state.streak > state.limit {
            state.limit += 1;
            state.streak = 0;
            drop(state);
            self.freed.notify_waiters();
        }
    }

    /// The server refused one: what was open beside it is the limit. Returns whether others are open,
    /// so that waiting for one of them to end can help.
    pub fn refused(&self, slot: Slot) -> bool {
        let mut state = self.state();
        let others = state.open.saturating_sub(1);
        state.limit = others.max(1);
        state.streak = 0;
        drop(state);
        drop(slot);
        others > 0
    }
}

impl Drop for Slot {
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

    const CEILING: usize = 10;

    #[tokio::test]
    async fn a_refusal_lowers_the_limit_to_what_was_open() {
        let limit = Slots::new(CEILING);
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
        let limit = Slots::new(CEILING);
        let only = limit.acquire().await;
        assert!(!limit.refused(only));
    }

    #[tokio::test]
    async fn successes_raise_a_lowered_limit() {
        let limit = Slots::new(CEILING);
        let only = limit.acquire().await;
        limit.refused(only);
        limit.accepted();
        limit.accepted();
        let _first = limit.acquire().await;
        assert!(limit.acquire().now_or_never().is_some());
    }

    #[tokio::test]
    async fn waiters_get_freed_slots() {
        let limit = Slots::new(CEILING);
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
