//! The faults of a host as they are now, and what has been counted of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::faults::{ConnectionFault, Ending, HostFaults, Moment};

/// The faults of a host; they may be changed at any time.
pub(super) struct Trouble {
    current: watch::Sender<Arc<HostFaults>>,
    /// How many connections there were since the faults were set.
    connections: AtomicU64,
    /// How many connections are open that nobody has logged in on yet.
    strangers: Arc<AtomicU64>,
    disk: Pace,
    output: Pace,
    /// How many bytes per second all sessions together may put out.
    output_rate: Option<u64>,
}

/// A connection that nobody has logged in on yet; dropping it makes room for the next.
pub(super) struct Stranger(Arc<AtomicU64>);

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Trouble {
    /// Trouble of this kind from now on.
    pub(super) fn new(faults: HostFaults) -> Trouble {
        Trouble {
            current: watch::Sender::new(Arc::new(faults)),
            connections: AtomicU64::new(0),
            strangers: Arc::default(),
            disk: Pace::default(),
            output: Pace::default(),
            output_rate: None,
        }
    }

    /// Limits what all sessions together put out, in bytes per second.
    pub(super) fn with_output_rate(self, output_rate: Option<u64>) -> Trouble {
        Trouble { output_rate, ..self }
    }

    /// Waits as long as putting out so many bytes takes.
    pub(super) async fn put_out(&self, bytes: usize) {
        if let Some(rate) = self.output_rate {
            self.output.work(bytes, rate);
            if let Some(at) = self.output.free_at() {
                tokio::time::sleep_until(at).await;
            }
        }
    }

    /// Changes the faults, and counts anew.
    pub(super) fn set(&self, faults: HostFaults) {
        self.connections.store(0, Ordering::Relaxed);
        self.current.send_replace(Arc::new(faults));
    }

    /// The faults as they are now.
    pub(super) fn now(&self) -> Arc<HostFaults> {
        self.current.borrow().clone()
    }

    /// Tells of changes.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<HostFaults>> {
        self.current.subscribe()
    }

    /// What is to happen to a connection that has just been accepted.
    pub(super) fn of_next_connection(&self) -> Option<(Moment, Ending)> {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let hits = |fault: &&ConnectionFault| {
            number.checked_sub(fault.skip).is_some_and(|nth| fault.times.is_none_or(|times| nth < times))
        };
        self.current.borrow().connections.iter().find(hits).map(|fault| (fault.at, fault.how))
    }

    /// Counts a connection as one that nobody has logged in on; none if there are too many already.
    pub(super) fn admit(&self) -> Option<Stranger> {
        let before = self.strangers.fetch_add(1, Ordering::Relaxed);
        let stranger = Stranger(Arc::clone(&self.strangers));
        let most = self.current.borrow().max_startups.map_or(u64::MAX, u64::from);
        (before < most).then_some(stranger)
    }

    /// Waits until the disk is done with what it was given.
    pub(super) async fn disk_ready(&self) {
        if let Some(at) = self.disk.free_at() {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Gives the disk something to do.
    pub(super) fn disk_works(&self, bytes: usize) {
        if let Some(rate) = self.current.borrow().disk.bytes_per_second {
            self.disk.work(bytes, rate);
        }
    }

    /// How many bytes to give a slow disk at once.
    pub(super) fn disk_portion(&self) -> usize {
        let rate = self.current.borrow().disk.bytes_per_second;
        // A twentieth of a second, so that a slow disk is smooth rather than jerky.
        rate.map_or(usize::MAX, |rate| usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1))
    }
}

/// When something slow is free again.
#[derive(Default)]
struct Pace(std::sync::Mutex<Option<Instant>>);

impl Pace {
    fn free_at(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn work(&self, bytes: usize, rate: u64) {
        let mut free = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let start = free.map_or(now, |free| free.max(now));
        *free = Some(start + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_from_when_the_faults_were_set() {
        let fault = |at, skip, times| ConnectionFault { at, how: Ending::Close, skip, times };
        let faults = || HostFaults {
            connections: vec![fault(Moment::Banner, 1, Some(2)), fault(Moment::Login, 0, None)],
            ..HostFaults::default()
        };
        let trouble = Trouble::new(faults());
        let seen = |trouble: &Trouble| -> Vec<_> {
            (0..4).map(|_| trouble.of_next_connection().map(|it| it.0)).collect()
        };
        let expected = [Moment::Login, Moment::Banner, Moment::Banner, Moment::Login].map(Some).to_vec();
        assert_eq!(seen(&trouble), expected);
        trouble.set(faults());
        assert_eq!(seen(&trouble), expected);
    }

    #[test]
    fn strangers_make_room_when_they_leave() {
        let trouble = Trouble::new(HostFaults { max_startups: Some(1), ..HostFaults::default() });
        let first = trouble.admit();
        assert!(first.is_some() && trouble.admit().is_none());
        drop(first);
        assert!(trouble.admit().is_some());
    }
}
