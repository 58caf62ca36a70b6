//! The time of the sandbox: real unless it is made faster or set ahead.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::{Error, Result};

/// The fastest: a day in less than a second.
pub const FASTEST: f64 = 100_000.0;
/// How far it can be set ahead at once: a year.
pub const FARTHEST: Duration = Duration::from_secs(31_536_000);
/// How often a clock that runs faster is to be stored, in real time.
pub(super) const STORE_EVERY: Duration = Duration::from_secs(5);
/// Who waits looks at the clock at least so often, in real time.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// A clock that all parts of a sandbox share. Clones show the same time.
///
/// It never runs backwards, also not from one process to the next: where it stood is kept in `clock.json`
/// beside the cloud. The speed is a matter of the process.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    hands: Mutex<Hands>,
    /// Tells those who wait that the time has jumped or runs otherwise.
    moved: watch::Sender<()>,
}

/// What the clock showed at a real moment, and how fast it has run since.
#[derive(Debug)]
struct Hands {
    real: Instant,
    shown: SystemTime,
    speed: f64,
    /// Whether it has ever shown anything but the real time.
    unreal: bool,
    file: Option<PathBuf>,
}

impl Hands {
    fn now(&self) -> SystemTime {
        let passed = self.real.elapsed();
        // A speed of exactly 1 must not lose nanoseconds to arithmetic.
        let passed = if self.speed == 1.0 { passed } else { passed.mul_f64(self.speed) };
        self.shown.checked_add(passed).unwrap_or(self.shown)
    }

    fn set(&mut self, shown: SystemTime, speed: f64) {
        (self.shown, self.real, self.speed) = (shown, Instant::now(), speed);
    }
}

/// What `clock.json` says: milliseconds since 1970, shown and real, when it was written.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    shown: u64,
    real: u64,
    speed: f64,
}

impl Default for Clock {
    /// The real time, kept nowhere.
    fn default() -> Self {
        let hands =
            Hands { real: Instant::now(), shown: SystemTime::now(), speed: 1.0, unreal: false, file: None };
        Clock(Arc::new(Shared { hands: Mutex::new(hands), moved: watch::Sender::new(()) }))
    }
}

impl Clock {
    /// What it shows.
    pub fn now(&self) -> SystemTime {
        self.hands().now()
    }

    /// How many seconds it goes in a real second.
    pub fn speed(&self) -> f64 {
        self.hands().speed
    }

    /// Sets it ahead; who waits for a time that has come then wakes at once.
    ///
    /// # Errors
    /// A usage error for more than a year; a state error if it cannot be stored.
    pub fn advance(&self, by: Duration) -> Result<()> {
        if by > FARTHEST {
            let message = format!("the clock can be advanced by at most {} seconds", FARTHEST.as_secs());
            return Err(Error::usage(message));
        }
        self.turn(|hands| {
            let now = hands.now();
            hands.set(now.checked_add(by).unwrap_or(now), hands.speed);
        })
    }

    /// Makes it run so many times as fast as the real time; 0 makes it stand still.
    ///
    /// # Errors
    /// A usage error for anything but 0 to 100 000; a state error if it cannot be stored.
    pub fn set_speed(&self, speed: f64) -> Result<()> {
        if !(0.0..=FASTEST).contains(&speed) {
            return Err(Error::usage(format!("the speed must be from 0 to {FASTEST}, found {speed}")));
        }
        self.turn(|hands| {
            let now = hands.now();
            hands.set(now, speed);
        })
    }

    fn turn(&self, turn: impl FnOnce(&mut Hands)) -> Result<()> {
        {
            let mut hands = self.hands();
            turn(&mut hands);
            hands.unreal = true;
        }
        self.0.moved.send_replace(());
        self.store()
    }

    /// Waits until it shows this time.
    pub async fn sleep_until(&self, time: SystemTime) {
        let mut moved = self.0.moved.subscribe();
        loop {
            let (now, speed) = {
                let hands = self.hands();
                (hands.now(), hands.speed)
            };
            let Ok(left) = time.duration_since(now) else { return };
            if left.is_zero() {
                return;
            }
            let real = Duration::try_from_secs_f64(left.as_secs_f64() / speed).unwrap_or(LOOK_EVERY);
            // A timer may not be finer than a millisecond.
            let real = real.clamp(Duration::from_millis(1), LOOK_EVERY);
            tokio::select! {
                () = tokio::time::sleep(real) => {}
                // An error would mean that the clock is gone, which `self` holds.
                _ = moved.changed() => {}
            }
        }
    }

    /// Whether it must be stored now and then, since it does not go with the real time.
    pub(super) fn is_uneven(&self) -> bool {
        self.speed() != 1.0
    }

    /// Goes on where it stood in this folder, and is kept there from now on.
    pub(super) fn keep_in(&self, folder: &Path) -> Result<()> {
        let path = folder.join("clock.json");
        let stored = match std::fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice::<Stored>(&bytes).map_err(|error| {
                Error::state(format!("{} is damaged: {error}", path.display()))
                    .with_hint(format!("delete {} to go by the real time", path.display()))
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(Error::state(format!("cannot read {}", path.display())).with_source(error));
            }
        };
        {
            let mut hands = self.hands();
            hands.file = Some(path);
            if let Some(stored) = stored {
                let (shown, speed) = (stored.resumed(SystemTime::now()), hands.speed);
                if shown > hands.now() {
                    hands.set(shown, speed);
                    hands.unreal = true;
                }
            }
        }
        self.0.moved.send_replace(());
        Ok(())
    }

    /// Writes down where it stands, if it has a place and shows anything but the real time.
    pub(super) fn store(&self) -> Result<()> {
        let (stored, path) = {
            let hands = self.hands();
            let Some(path) = hands.file.clone().filter(|_| hands.unreal) else { return Ok(()) };
            let stored = Stored {
                shown: milliseconds(hands.now()),
                real: milliseconds(SystemTime::now()),
                speed: hands.speed,
            };
            (stored, path)
        };
        let failed = |error: std::io::Error| {
            Error::state(format!("cannot write {}", path.display())).with_source(error)
        };
        let bytes = serde_json::to_vec(&stored)
            .map_err(|error| Error::internal("cannot encode the sandbox's clock").with_source(error))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    /// What the clock shows when it is taken up again: it has gone with the real time since it was stored,
    /// or, as long as it may not have been stored again, with its own speed.
    fn resumed(&self, real: SystemTime) -> SystemTime {
        // Whole milliseconds were stored, of both times: what was cut off may have passed too.
        let passed = Duration::from_millis(milliseconds(real).saturating_sub(self.real) + 1);
        let fast = passed.min(STORE_EVERY);
        let passed = fast.mul_f64(self.speed.clamp(1.0, FASTEST)) + (passed - fast);
        let shown =
            UNIX_EPOCH.checked_add(Duration::from_millis(self.shown.saturating_add(1))).unwrap_or(UNIX_EPOCH);
        shown.checked_add(passed).unwrap_or(shown)
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn it_is_real_unless_it_is_moved() {
        let clock = Clock::default();
        let ahead = |clock: &Clock| clock.now().duration_since(SystemTime::now()).unwrap_or_default();
        assert!(ahead(&clock) < Duration::from_secs(1));
        let other = clock.clone();
        clock.advance(HOUR).unwrap();
        assert!(ahead(&other) > HOUR - Duration::from_secs(1));
        clock.set_speed(0.0).unwrap();
        assert_eq!(clock.now(), clock.now());
        assert!(clock.set_speed(-1.0).is_err() && clock.set_speed(f64::NAN).is_err());
        assert!(clock.advance(FARTHEST + HOUR).is_err());
    }

    #[test]
    fn it_never_runs_backwards_between_processes() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::default();
        clock.keep_in(folder.path()).unwrap();
        clock.store().unwrap();
        assert!(!folder.path().join("clock.json").exists(), "the real time needs no file");
        clock.advance(HOUR).unwrap();
        clock.set_speed(1000.0).unwrap();
        // The end of a process that stored nothing more.
        let last = clock.now();
        let next = Clock::default();
        next.keep_in(folder.path()).unwrap();
        assert!(next.now() >= last && next.speed() == 1.0);
        assert!(next.now().duration_since(last).unwrap() < HOUR);
        std::fs::write(folder.path().join("clock.json"), "{").unwrap();
        let error = Clock::default().keep_in(folder.path()).unwrap_err();
        assert!(error.message().contains("clock.json") && error.hint().is_some());
    }

    #[tokio::test]
    async fn who_waits_wakes_when_the_time_comes() {
        let clock = Clock::default();
        let limit = Duration::from_secs(20);
        let wait = |clock: &Clock, time: Duration| {
            let (clock, until) = (clock.clone(), clock.now() + time);
            tokio::spawn(async move { clock.sleep_until(until).await })
        };
        let sleeper = wait(&clock, HOUR);
        clock.advance(HOUR).unwrap();
        tokio::time::timeout(limit, sleeper).await.unwrap().unwrap();
        clock.set_speed(100_000.0).unwrap();
        tokio::time::timeout(limit, wait(&clock, 24 * HOUR)).await.unwrap().unwrap();
        clock.set_speed(0.0).unwrap();
        let sleeper = wait(&clock, Duration::from_secs(1));
        clock.set_speed(100_000.0).unwrap();
        tokio::time::timeout(limit, sleeper).await.unwrap().unwrap();
    }
}
