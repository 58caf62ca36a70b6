//! What came of runs, and what is kept of those that failed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Options;
use super::plan::{Moment, Plan, Trouble};
use super::project::Project;
use crate::error::{Error, Result};

/// What came of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// Its commands in order.
    pub steps: Vec<Step>,
    /// What did not hold; empty if all was well.
    pub broken: Vec<String>,
    /// How many calls the cloud answered.
    pub calls: usize,
    /// How long it took.
    pub seconds: f64,
    /// The command that runs it again.
    pub replay: String,
    /// Where its files were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
}

/// What came of one command.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What was run.
    pub command: String,
    /// What happened to it; empty for nothing.
    pub trouble: String,
    /// Its exit code; none if it was killed.
    pub code: Option<i32>,
    /// How long it took.
    pub seconds: f64,
    /// Its output.
    #[serde(skip)]
    pub said: Vec<String>,
}

/// What came of all runs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// The first seed.
    pub seed: u64,
    /// How many runs there were.
    pub runs: u64,
    /// The seeds of those in which something did not hold.
    pub failed: Vec<u64>,
    /// How many commands were run, by name and exit code (`killed` for none).
    pub commands: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many commands were killed or interrupted.
    pub troubled: u64,
    /// How many calls the clouds answered.
    pub calls: u64,
    /// How long all of it took.
    pub seconds: f64,
}

impl Summary {
    pub(super) fn new(seed: u64) -> Self {
        Summary { seed, ..Summary::default() }
    }

    pub(super) fn add(&mut self, run: &Run) {
        self.runs += 1;
        self.calls += run.calls as u64;
        if !run.broken.is_empty() {
            self.failed.push(run.seed);
        }
        for step in &run.steps {
            let name = step.command.split(' ').next().unwrap_or_default().to_owned();
            let code = step.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
            *self.commands.entry(name).or_default().entry(code).or_default() += 1;
            self.troubled += u64::from(!step.trouble.is_empty());
        }
    }
}

/// The command that runs a seed again.
pub(super) fn replay(seed: u64, options: &Options) -> String {
    let mut text = format!("spot sandbox chaos --seed {seed} --runs 1");
    for word in &options.replay {
        // Writing to a text cannot fail.
        let _ = write!(text, " {word}");
    }
    text
}

/// What happened to a command, in words.
pub(super) fn words(trouble: Trouble) -> String {
    let at = |moment| match moment {
        Moment::Calls(number) => format!("after call {number}"),
        Moment::Records(number) => format!("after record {number}"),
    };
    match trouble {
        Trouble::None | Trouble::Alone => String::new(),
        Trouble::Kill(moment) => format!("killed {}", at(moment)),
        Trouble::Signal(times, moment) => format!("{times} SIGINT {}", at(moment)),
        Trouble::Interrupt(times, moment) => format!("interrupted {times} times {}", at(moment)),
    }
}

/// Keeps everything that tells what happened in a run: the plan, what was said, the calls, and the
/// project's folder with its state and journal as they are now.
pub(super) fn keep(folder: &Path, plan: &Plan, run: &Run, project: &Project) -> Result<PathBuf> {
    let folder = folder.join(format!("seed-{}", run.seed));
    let failed = |error: std::io::Error| {
        Error::usage(format!("{} cannot be written", folder.display())).with_source(error)
    };
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => std::fs::create_dir_all(&folder).map_err(failed)?,
    }
    let mut said = String::new();
    for step in &run.steps {
        let code = step.code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
        let _ = writeln!(said, "== {} {} -> {code} after {:.2} s", step.command, step.trouble, step.seconds);
        for line in &step.said {
            let _ = writeln!(said, "{line}");
        }
    }
    let calls: Vec<String> = project
        .sandbox()
        .calls()
        .iter()
        .filter_map(|call| serde_json::to_string(call).ok())
        .map(|line| line + "\n")
        .collect();
    let text = format!("{}\n\n{}\n\n{plan:#?}\n", run.replay, run.broken.join("\n"));
    std::fs::write(folder.join("plan.txt"), text).map_err(failed)?;
    std::fs::write(folder.join("said.txt"), said).map_err(failed)?;
    std::fs::write(folder.join("calls.jsonl"), calls.concat()).map_err(failed)?;
    copy(project.folder(), &folder.join("project")).map_err(failed)?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            // The files of real hosts are many, and nobody's state.
            if entry.file_name() != "hosts" {
                copy(&entry.path(), &target)?;
            }
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
