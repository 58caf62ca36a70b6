//! One run, from its first command to the last check.

use std::time::{Duration, Instant};

use super::Options;
use super::act::{Place, act};
use super::invariant::{Asked, View, check};
use super::plan::{Command, Plan, Step, Trouble};
use super::project::Project;
use super::report::{self, Run};
use crate::error::Result;

/// How long a command may take whatever it does: the machine may be busy with others.
const LEAST: Duration = Duration::from_secs(60);
/// How often everything is removed while things go wrong, and how often when they do not any more.
const REMOVALS_IN_STORM: usize = 3;
const REMOVALS_IN_CALM: usize = 3;
/// The account of every sandbox.
const ACCOUNT: &str = "123456789012";

/// A run under way.
struct Going<'a> {
    options: &'a Options,
    plan: &'a Plan,
    asked: Asked,
    steps: Vec<report::Step>,
    broken: Vec<String>,
    calls: usize,
}

/// Runs what is drawn from a seed.
///
/// # Errors
/// When the run could not take place at all.
pub(super) fn run(seed: u64, options: &Options) -> Result<Run> {
    let began = Instant::now();
    let plan = Plan::draw(seed, &options.recipes, options.real_hosts);
    let mut project = Project::new(&plan)?;
    let asked = Asked { interrupted: plan.weather.interrupts(), ..Asked::default() };
    let mut going = Going { options, plan: &plan, asked, steps: Vec::new(), broken: Vec::new(), calls: 0 };
    for step in &plan.steps {
        if !going.broken.is_empty() {
            break;
        }
        going.step(&project, *step)?;
    }
    let mut trouble = plan.removal;
    let mut gone = false;
    for _ in 0..REMOVALS_IN_STORM {
        if gone || !going.broken.is_empty() {
            break;
        }
        gone = going.step(&project, Step { command: Command::Destroy, trouble })? == Some(0);
        trouble = Trouble::None;
    }
    if going.broken.is_empty() && (!gone || plan.nuke) {
        going.calls += project.sandbox().call_count();
        project = project.calm()?;
        going.settle(&project, gone)?;
    }
    going.calls += project.sandbox().call_count();
    let Going { steps, broken, calls, .. } = going;
    let seconds = began.elapsed().as_secs_f64();
    let mut report =
        Run { seed, steps, broken, calls, seconds, replay: report::replay(seed, options), kept: None };
    if let Some(folder) = options.keep.as_deref().filter(|_| !report.broken.is_empty()) {
        report.kept = Some(report::keep(folder, &plan, &report, &project)?);
    }
    Ok(report)
}

impl Going<'_> {
    /// Removes everything, now that nothing goes wrong any more.
    fn settle(&mut self, project: &Project, mut gone: bool) -> Result<()> {
        if self.plan.nuke {
            self.step(project, Step { command: Command::Nuke, trouble: Trouble::None })?;
            gone = false;
        }
        for _ in 0..REMOVALS_IN_CALM {
            if gone || !self.broken.is_empty() {
                return Ok(());
            }
            let step = Step { command: Command::Destroy, trouble: Trouble::None };
            gone = self.step(project, step)? == Some(0);
        }
        if !gone && self.broken.is_empty() {
            let last = self.steps.last().map(|step| step.said.join(" | ")).unwrap_or_default();
            self.broken.push(format!("destroy does not come to an end though nothing goes wrong: {last}"));
        }
        Ok(())
    }

    /// Carries out a command and checks what must hold; its exit code.
    fn step(&mut self, project: &Project, step: Step) -> Result<Option<i32>> {
        let before = View::of(project.sandbox(), project.folder());
        let Some((recipe, words)) = self.words(step.command, before.as_ref().ok()) else { return Ok(None) };
        match step.command {
            Command::Create(count) => {
                self.asked.creates.push(self.options.recipe.is_none().then_some(count));
            }
            Command::Watch(true) => self.asked.replaced = true,
            _ => {}
        }
        let place = Place {
            folder: project.folder(),
            sandbox: project.sandbox(),
            spot: &self.options.spot,
            limit: LEAST,
        };
        let ended = act(&place, &recipe, &words, step.trouble)?;
        let command = format!("{recipe} {}", words.join(" "));
        let code = ended.code;
        let found = match View::of(project.sandbox(), project.folder()) {
            Ok(view) => check(step.command, step.trouble, &ended, &view, &self.asked),
            Err(error) => vec![format!("state cannot be read: {error}")],
        };
        let number = self.steps.len() + 1;
        self.broken
            .extend(found.into_iter().map(|what| format!("command {number}, {}: {what}", command.trim())));
        self.steps.push(report::Step {
            command: command.trim().to_owned(),
            trouble: report::words(step.trouble),
            code,
            seconds: ended.seconds,
            said: ended.said,
        });
        Ok(code)
    }

    /// The recipe of a command and its words; nothing when there is nothing to do it to.
    fn words(&self, command: Command, view: Option<&View>) -> Option<(String, Vec<String>)> {
        let given = |recipe: &str, words: &[&str]| {
            Some((recipe.to_owned(), words.iter().map(|word| (*word).to_owned()).collect()))
        };
        match command {
            Command::Create(count) => match &self.options.recipe {
                Some(own) => given(&own.to_string_lossy(), &[]),
                // Every other one also tries again what failed, and replaces what is lost.
                None if count % 2 == 0 => {
                    given("create", &["--count", &count.to_string(), "--heal", "--retry-failed"])
                }
                None => given("create", &["--count", &count.to_string()]),
            },
            Command::List => given("list", &[]),
            Command::Run => given("uptime", &[]),
            Command::Watch(false) => given("watch", &["--once", "--timeout", "2"]),
            Command::Watch(true) => {
                let words =
                    ["--for", "1", "--interval", "0.5", "--timeout", "2", "--replace", "--min-age", "0.01"];
                given("watch", &words)
            }
            Command::DestroyOne => {
                let first = view?.state.instances().next()?.id.clone();
                given("destroy", &[&first])
            }
            Command::Destroy => given("destroy", &[]),
            Command::Nuke => {
                given("nuke", &["--account", ACCOUNT, "--regions", &self.plan.settings.regions.join(",")])
            }
        }
    }
}
