//! Agreeing in the background while a run goes on, so that its changes do not wait for the network.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Exchange, Phase};
use crate::error::{Error, Result};
use crate::state::commit::Committer;

/// Between two agreements at least.
const PAUSE: Duration = Duration::from_millis(500);
/// And at most, while the place does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A run that changes nothing says so often that it is still there.
const RENEWAL: Duration = Duration::from_secs(240);

/// A thread that agrees whenever something has changed.
pub(in crate::state) struct Courier {
    signal: Arc<Signal>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Signal {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    agreement: bool,
    stop: bool,
}

impl Signal {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Courier {
    /// Starts it.
    pub(in crate::state) fn start(exchange: Arc<Exchange>, committer: Arc<Committer>) -> Result<Courier> {
        let signal = Arc::new(Signal::default());
        let heard = Arc::clone(&signal);
        let thread = thread::Builder::new()
            .name("spot-state".to_owned())
            .spawn(move || serve(&heard, &exchange, &committer))
            .map_err(|error| {
                Error::internal("the thread for the shared state cannot start").with_source(error)
            })?;
        Ok(Courier { signal, thread })
    }

    /// Says that something has changed.
    pub(in crate::state) fn notify(&self) {
        self.signal.wanted().agreement = true;
        self.signal.changed.notify_all();
    }

    /// Ends it, after the agreement that is under way.
    pub(in crate::state) fn stop(self) {
        self.signal.wanted().stop = true;
        self.signal.changed.notify_all();
        // If it has panicked, whoever closes the state agrees for the last time all the same.
        let _ = self.thread.join();
    }
}

fn serve(signal: &Signal, exchange: &Exchange, committer: &Committer) {
    let mut pause = PAUSE;
    loop {
        {
            let idle = |wanted: &mut Wanted| !wanted.stop && !wanted.agreement;
            let waited = signal.changed.wait_timeout_while(signal.wanted(), RENEWAL, idle);
            let (mut wanted, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if wanted.stop {
                return;
            }
            wanted.agreement = false;
        }
        if exchange.go_on(committer, Phase::During) {
            pause = PAUSE;
        } else {
            signal.wanted().agreement = true;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        let waited = signal.changed.wait_timeout_while(signal.wanted(), pause, |wanted| !wanted.stop);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
