//! Runs of recipes in a world in which everything goes wrong, each followed by checks of what must
//! hold whatever happens: nothing orphaned, nothing doubled, state equal to cloud, no endless wait, the
//! right exit code.
//!
//! A run is drawn from a seed: the project's settings, the faults of cloud and hosts, the commands, and
//! when a process is killed or interrupted. The same seed gives the same plan and the same faults; how
//! threads interleave is left to the machine.
//!
//! | file | what lives there |
//! |---|---|
//! | `plan` | a run as it is drawn: settings, commands, kills and interrupts |
//! | `weather` | the faults of a run, as they are drawn |
//! | `project` | the folder of a run, and the sandbox beside it |
//! | `act` | one command, in this process or in one of its own |
//! | `invariant` | what must hold after a command |
//! | `run` | one run from its first command to the last check |
//! | `report` | what came of runs, and what is kept of those that failed |

mod act;
mod invariant;
mod plan;
mod project;
mod report;
mod run;
mod weather;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use plan::{Command, Plan, Step, Trouble};
pub use report::{Run, Step as Done, Summary};

use crate::error::{Error, Result};

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seed of the first run; each further one has the next.
    pub seed: u64,
    /// How many runs.
    pub runs: u64,
    /// No further run is begun after this time.
    pub time: Option<Duration>,
    /// How many runs are under way at once; at least 1.
    pub jobs: usize,
    /// The commands to draw from; see [`Command::NAMES`].
    pub recipes: Vec<String>,
    /// A recipe that creates in place of `create`, by its path; it takes no arguments.
    pub recipe: Option<PathBuf>,
    /// Share of the runs, 0 to 1, with real isolated hosts in place of ones that only pretend.
    pub real_hosts: f64,
    /// Where the folders of failed runs are kept.
    pub keep: Option<PathBuf>,
    /// The program to start where a process is killed.
    pub spot: PathBuf,
    /// Words to repeat when a failed run is to be replayed.
    pub replay: Vec<String>,
}

impl Options {
    /// Checks what the types leave open.
    fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.real_hosts) {
            let found = self.real_hosts;
            return Err(Error::usage(format!("--real-hosts: expected a share from 0 to 1, found {found}")));
        }
        for name in &self.recipes {
            if !Command::NAMES.contains(&name.as_str()) {
                let error = Error::usage(format!("--recipes: there is no `{name}` to run"));
                return Err(match crate::error::nearest(name, Command::NAMES) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error.with_hint(format!("it takes: {}", Command::NAMES.join(", "))),
                });
            }
        }
        if self.real_hosts > 0.0 {
            crate::sandbox::hosts::available()?;
        }
        Ok(())
    }
}

/// Runs until all is done, the time is over or `stop` is set. `tell` hears of every run when it ends.
///
/// # Errors
/// [`Usage`](crate::Kind::Usage) for options that make no sense; a folder that cannot be made. What goes
/// wrong inside a run is part of its report.
pub fn run(options: &Options, stop: &AtomicBool, tell: &(dyn Fn(&Run) + Sync)) -> Result<Summary> {
    options.check()?;
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let summary = Mutex::new(Summary::new(options.seed));
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    let work = || {
        loop {
            let late = options.time.is_some_and(|time| began.elapsed() >= time);
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= options.runs || late || stop.load(Ordering::Relaxed) {
                return;
            }
            match run::run(options.seed.wrapping_add(number), options) {
                Ok(report) => {
                    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
                    summary.add(&report);
                    tell(&report);
                }
                Err(error) => {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.seconds = began.elapsed().as_secs_f64();
    Ok(summary)
}
