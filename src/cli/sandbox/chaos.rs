//! `spot sandbox chaos`: runs recipes in worlds in which everything goes wrong.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::super::options::Options;
use crate::chaos::{self, Command, Run, Summary};
use crate::error::{Error, Result};
use crate::host::Failure;
use crate::ui::{Event, Level, Ui};

/// How many runs there are between two messages.
const EVERY: u64 = 100;
/// How many runs there are when nobody says.
const RUNS: u64 = 100;

const HELP: &str = "\
Each run draws from its seed a project, faults of cloud and hosts, commands, and when a process is
killed or interrupted. After every command it checks that nothing is orphaned or doubled, that state
and cloud agree, that it ended in time and with the right exit code; in the end destroy must leave
nothing. A run that fails is told with the command that repeats it. --seed is that of the first run,
drawn and told otherwise; each further run has the next.

Examples:
  spot sandbox chaos                                  a hundred runs
  spot sandbox chaos --time 120 --keep-failures out   two minutes of them
  spot sandbox chaos --seed 4711 --runs 1             one again
  spot sandbox chaos --recipe recipes/mine.rhai       a recipe of your own creates

Exit codes: 0 everything held; 1 something did not; 2 the command line is wrong; 130 interrupted";

/// The command line of `spot sandbox chaos`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(in super::super) struct Chaos {
    /// How many runs [default: 100, or as many as --time allows]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// Begin no run later than this many seconds
    #[arg(long, value_name = "SECONDS")]
    time: Option<f64>,
    /// How many runs at once [default: two for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The commands to draw from
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_values_t = Command::NAMES.map(str::to_owned))]
    recipes: Vec<String>,
    /// A recipe without arguments that creates in place of `create`
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Share of the runs (0 to 1) whose hosts really execute, isolated, what they are told
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    real_hosts: f64,
    /// Keep plan, output, calls, state and journal of failed runs in this folder
    #[arg(long, value_name = "DIR")]
    keep_failures: Option<PathBuf>,
}

impl Chaos {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        let chaos = self.options(options.rehearsal.seed)?;
        let text = format!("chaos from seed {}, {} runs at once", chaos.seed, chaos.jobs);
        ui.emit(Event::message(Level::Info, text));
        let stop = Arc::new(AtomicBool::new(false));
        stop_at_interrupt(&stop, ui)?;
        let (runs, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        let tell = |run: &Run| {
            let number = runs.fetch_add(1, Ordering::Relaxed) + 1;
            if !run.broken.is_empty() {
                failed.fetch_add(1, Ordering::Relaxed);
                show(ui, run);
            }
            if options.json {
                ui.emit(Event::Data(serde_json::json!({ "run": run })));
            } else if number.is_multiple_of(EVERY) {
                let text = format!("{number} runs, {} failed", failed.load(Ordering::Relaxed));
                ui.emit(Event::message(Level::Info, text));
            }
        };
        let summary = chaos::run(&chaos, &stop, &tell)?;
        if options.json {
            ui.emit(Event::Data(serde_json::json!({ "summary": summary })));
        }
        conclude(ui, &summary);
        Ok(match (stop.load(Ordering::Relaxed), summary.failed.is_empty()) {
            (_, false) => 1,
            (true, true) => 130,
            (false, true) => 0,
        })
    }

    /// What is to be run, from `seed` on if it is given: `--seed` is an option of every command.
    fn options(&self, seed: Option<u64>) -> Result<chaos::Options> {
        let time = match self.time {
            None => None,
            Some(seconds) => Some(
                Duration::try_from_secs_f64(seconds)
                    .map_err(|_| Error::usage(format!("--time: expected seconds from 0, found {seconds}")))?,
            ),
        };
        let recipe = match &self.recipe {
            None => None,
            Some(path) => Some(path.canonicalize().map_err(|error| {
                Error::usage(format!("--recipe: {} cannot be read", path.display())).with_source(error)
            })?),
        };
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(chaos::Options {
            seed: seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
            runs: self.runs.unwrap_or(if time.is_some() { u64::MAX } else { RUNS }),
            time,
            jobs: self.jobs.map_or(2 * processors, usize::from),
            replay: self.replay(recipe.as_ref()),
            recipes: self.recipes.clone(),
            recipe,
            real_hosts: self.real_hosts,
            keep: self.keep_failures.clone(),
            spot: std::env::current_exe()
                .map_err(|error| Error::internal("spot does not find itself").with_source(error))?,
        })
    }

    /// The words that draw the same run from the same seed.
    fn replay(&self, recipe: Option<&PathBuf>) -> Vec<String> {
        let mut words = Vec::new();
        if self.recipes != Command::NAMES {
            words.extend(["--recipes".to_owned(), self.recipes.join(",")]);
        }
        if let Some(recipe) = recipe {
            words.extend(["--recipe".to_owned(), recipe.display().to_string()]);
        }
        if self.real_hosts > 0.0 {
            words.extend(["--real-hosts".to_owned(), self.real_hosts.to_string()]);
        }
        words
    }
}

/// Says what did not hold in a run, and how to see it again.
fn show(ui: &Arc<dyn Ui>, run: &Run) {
    for broken in &run.broken {
        ui.emit(Event::message(Level::Error, format!("seed {}: {broken}", run.seed)));
    }
    let kept = run.kept.as_ref().map(|folder| format!("; its files are in {}", folder.display()));
    ui.emit(Event::message(Level::Info, format!("again: {}{}", run.replay, kept.unwrap_or_default())));
}

fn conclude(ui: &Arc<dyn Ui>, summary: &Summary) {
    for (name, codes) in &summary.commands {
        let codes: Vec<String> = codes.iter().map(|(code, times)| format!("{code}: {times}")).collect();
        ui.emit(Event::message(Level::Info, format!("{name} ended with {}", codes.join(", "))));
    }
    let text = format!(
        "{} runs from seed {}, {} commands killed or interrupted, {} calls, {:.0} s",
        summary.runs, summary.seed, summary.troubled, summary.calls, summary.seconds
    );
    ui.emit(match summary.failed.as_slice() {
        [] => Event::message(Level::Success, format!("everything held: {text}")),
        failed => Event::message(Level::Error, format!("{} of {text}: failed: {failed:?}", failed.len())),
    });
}

/// Ctrl-C lets the runs under way end; a second one leaves at once.
fn stop_at_interrupt(stop: &Arc<AtomicBool>, ui: &Arc<dyn Ui>) -> Result<()> {
    let fail = |error: std::io::Error| Error::internal("signals cannot be watched").with_source(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(fail)?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    drop(guard);
    let (stop, ui) = (Arc::clone(stop), Arc::clone(ui));
    let watch = move || {
        runtime.block_on(async move {
            while interrupt.recv().await.is_some() {
                if stop.swap(true, Ordering::Relaxed) {
                    ui.finish();
                    std::process::exit(130);
                }
                let text = "interrupted: the runs under way come to their end; once more to leave now";
                ui.emit(Event::message(Level::Warning, text));
            }
        });
    };
    std::thread::Builder::new().name("spot-signals".to_owned()).spawn(watch).map_err(fail)?;
    Ok(())
}
