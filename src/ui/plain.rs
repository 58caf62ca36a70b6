//! One line per event with a timestamp, for pipes, logs and terminals that cannot move their cursor.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Ui;
use super::environment::Options;
use super::event::Event;
use super::output::Outputs;
use super::progress::Bar;
use super::prompt::Tty;
use super::question::{self, Answer, Question};
use super::sanitize::neutralise;
use super::style::{Paint, Style};
use super::{lines, planned, units};
use crate::error::Result;

/// A line about a progress bar appears this often.
const PACE: Duration = Duration::from_secs(10);

/// The renderer without cursor movement.
pub(super) struct Plain {
    state: Mutex<State>,
    asking: Mutex<()>,
    options: Options,
    interactive: bool,
    clock: fn() -> jiff::ZonedDateTime,
}

struct State {
    outputs: Outputs,
    /// What was last told about a host.
    hosts: HashMap<String, Told>,
    bars: HashMap<u64, (Bar, Instant)>,
}

#[derive(PartialEq)]
struct Told {
    phase: String,
    failed: bool,
    detail: Option<String>,
}

impl Plain {
    pub(super) fn new(outputs: Outputs, options: Options, interactive: bool) -> Self {
        let state = State { outputs, hosts: HashMap::new(), bars: HashMap::new() };
        Plain {
            state: Mutex::new(state),
            asking: Mutex::new(()),
            options,
            interactive,
            clock: super::clock::now,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self) -> String {
        let now = (self.clock)();
        let format = if self.options.verbose > 0 { "%Y-%m-%dT%H:%M:%S%.3f%:z" } else { "%H:%M:%S" };
        now.strftime(format).to_string()
    }

    /// The lines about an event, if there is something to tell.
    fn text(&self, event: &Event, state: &mut State, now: Instant) -> Option<String> {
        let style = state.outputs.stderr.sink.style;
        let style = &style;
        Some(match event {
            Event::Table(_)
            | Event::Chart(_)
            | Event::View { .. }
            | Event::ViewEnded { .. }
            | Event::Account { .. }
            | Event::Data(_)
            | Event::PlannedCall { .. }
            | Event::PlannedStep { .. }
            | Event::PlanEnded { .. } => return None,
            Event::Message { level, text, hint } => lines::message(*level, text, hint.as_deref(), style),
            Event::Call { .. } => lines::call(event, style)?,
            Event::Error(failure) => failure.render(style),
            Event::StepStarted { title, .. } => begin(title, style),
            Event::StepEnded { title, ok, seconds, detail, .. } => {
                lines::step_ended(title, *ok, *seconds, detail.as_deref(), style)
            }
            Event::Output { host, line, .. } => lines::output(host, line, style),
            Event::Progress { id, title, done, total, unit } => {
                let (bar, told) = state
                    .bars
                    .entry(*id)
                    .or_insert_with(|| (Bar::new(title, *done, *total, *unit, now), now));
                bar.update(title, *done, *total, *unit, now);
                if now.saturating_duration_since(*told) < PACE {
                    return None;
                }
                *told = now;
                begin(&format!("{title}  {}", bar.facts(now).join("  ").trim_start()), style)
            }
            Event::ProgressEnded { id, ok } => {
                let (bar, _) = state.bars.remove(id)?;
                ended(&bar, *ok, style, now)
            }
            Event::Host { id, region, zone, instance_type, address, phase, detail, failed, hourly: _ } => {
                let told = Told {
                    phase: phase.clone(),
                    failed: *failed,
                    // Details change too often to tell every one of them.
                    detail: detail.clone().filter(|_| *failed || self.options.verbose > 0),
                };
                if state.hosts.get(id) == Some(&told) {
                    return None;
                }
                state.hosts.insert(id.clone(), told);
                let place = zone.as_ref().unwrap_or(region);
                let facts: Vec<&str> = [Some(place), instance_type.as_ref(), address.as_ref()]
                    .into_iter()
                    .flatten()
                    .map(String::as_str)
                    .collect();
                let detail = detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
                let mark =
                    if *failed { format!("{} ", style.mark(style.verdict(false))) } else { String::new() };
                lines::output(id, &format!("{mark}{phase}{detail} ({})", facts.join(", ")), style)
            }
            Event::RunStarted { recipe, origin, spot_version } => {
                begin(&format!("{recipe} ({origin}, spot {spot_version})"), style)
            }
            Event::RunEnded { recipe, ok, exit_code, seconds, timeline } => {
                lines::run_ended(recipe, *ok, *exit_code, *seconds, timeline, "", style)
            }
        })
    }
}

fn begin(text: &str, style: &Style) -> String {
    format!("{:width$} {text}\n", style.begin(), width = if style.unicode { 1 } else { 4 })
}

/// `✔ deploy.tar.gz  27.0 MiB in 8.2s (3.2 MiB/s)`
pub(super) fn ended(bar: &Bar, ok: bool, style: &Style, now: Instant) -> String {
    let amount = match bar.total {
        Some(total) if total != bar.done => units::share(bar.done, total, bar.unit),
        _ => units::amount(bar.done, bar.unit),
    };
    let took = units::duration(now.saturating_duration_since(bar.started).as_secs_f64());
    let rate = units::rate(bar.average(now), bar.unit);
    format!("{} {}  {amount} in {took} ({rate})\n", style.mark(style.verdict(ok)), bar.title)
}

impl Ui for Plain {
    fn emit(&self, event: Event) {
        if !lines::wanted(&event, &self.options) {
            return;
        }
        let event = neutralise(event);
        let mut state = self.state();
        let sink = state.outputs.stdout.sink;
        match &event {
            Event::Table(table) | Event::View { table, .. } => {
                return state.outputs.data(&lines::table(table, sink.columns, &sink));
            }
            Event::Chart(chart) => return state.outputs.data(&lines::chart(chart, sink.columns, &sink)),
            Event::Data(value) => return state.outputs.data(&lines::data(value, &sink)),
            Event::PlannedCall { .. } | Event::PlannedStep { .. } | Event::PlanEnded { .. } => {
                let text = planned::text(&event, &self.options, &sink.style).unwrap_or_default();
                return state.outputs.data(&text);
            }
            _ => {}
        }
        let Some(text) = self.text(&event, &mut state, Instant::now()) else { return };
        let time = state.outputs.stderr.sink.style.paint(&self.time(), Paint::Dim);
        let stamped: String = text.lines().map(|line| format!("{time} {line}\n")).collect();
        state.outputs.stderr.write(&stamped);
    }

    fn ask(&self, question: &Question) -> Result<Answer> {
        if let Some(answer) = question::answered(question, &self.options) {
            return Ok(answer);
        }
        if !self.interactive {
            return Err(question::refusal(question));
        }
        let _one_at_a_time = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let style = self.state().outputs.stderr.sink.style;
        question::ask(question, &mut Tty, &style)
    }

    fn has_listener(&self) -> bool {
        self.interactive && !self.options.yes
    }

    fn broken(&self) -> bool {
        self.state().outputs.stdout.broken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::ui::output::{
        Output,
        tests::{Failing, PIPE, Shared},
    };
    use crate::ui::{Level, Sink, samples};
    use insta::assert_snapshot;

    fn plain(style: Style, options: Options) -> (Plain, Shared, Shared) {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let sink = Sink { style, ..PIPE };
        let outputs = Outputs {
            stdout: Output::new(Box::new(stdout.clone()), sink),
            stderr: Output::new(Box::new(stderr.clone()), sink),
        };
        let clock = || jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(jiff::tz::TimeZone::UTC);
        (Plain { clock, ..Plain::new(outputs, options, false) }, stdout, stderr)
    }

    fn log(style: Style, options: Options) -> String {
        let (ui, _, stderr) = plain(style, options);
        samples::run().into_iter().for_each(|event| ui.emit(event));
        stderr.take()
    }

    #[test]
    fn a_run_with_unicode() {
        assert_snapshot!(log(Style { color: false, unicode: true }, Options::default()), @"
        00:00:00 ▸ create (embedded, spot 0.1.0)
        00:00:00 ▸ launching 1 instance
        00:00:00 [i-0123456789abcdef0] launching (us-west-2a, t3.medium, 54.1.2.3)
        00:00:00 ✔ launching 1 instance  2.2s  us-west-2a
        00:00:00 [i-0123456789abcdef0] setup (us-west-2a, t3.medium, 54.1.2.3)
        00:00:00 [i-0123456789abcdef0] done
        00:00:00 [i-0123456789abcdef0] ✖ setup: apt-get failed (us-west-2a, t3.medium, 54.1.2.3)
        00:00:00 ! one host less than asked for
        00:00:00   hint: spot create --count 1
        00:00:00 error[PartialFailure]: 1 of 1 hosts failed
        00:00:00 hint: look: spot logs i-0123456789abcdef0
        00:00:00 ✖ create failed after 1m 23s (exit code 3)
        00:00:00   launch 2.2s · setup 1m 20s
        ");
    }

    #[test]
    fn a_run_in_ascii_and_verbose() {
        assert_snapshot!(log(Style::PLAIN, Options { verbose: 1, ..Options::default() }), @"
        1970-01-01T00:00:00.000+00:00 >    create (embedded, spot 0.1.0)
        1970-01-01T00:00:00.000+00:00 >    launching 1 instance
        1970-01-01T00:00:00.000+00:00 .    RunInstances RequestId 4f1c
        1970-01-01T00:00:00.000+00:00 [i-0123456789abcdef0] launching (us-west-2a, t3.medium, 54.1.2.3)
        1970-01-01T00:00:00.000+00:00 ok   launching 1 instance  2.2s  us-west-2a
        1970-01-01T00:00:00.000+00:00 [i-0123456789abcdef0] setup (us-west-2a, t3.medium, 54.1.2.3)
        1970-01-01T00:00:00.000+00:00 [i-0123456789abcdef0] done
        1970-01-01T00:00:00.000+00:00 [i-0123456789abcdef0] FAIL setup: apt-get failed (us-west-2a, t3.medium, 54.1.2.3)
        1970-01-01T00:00:00.000+00:00 !    one host less than asked for
        1970-01-01T00:00:00.000+00:00      hint: spot create --count 1
        1970-01-01T00:00:00.000+00:00 error[PartialFailure]: 1 of 1 hosts failed
        1970-01-01T00:00:00.000+00:00 hint: look: spot logs i-0123456789abcdef0
        1970-01-01T00:00:00.000+00:00 FAIL create failed after 1m 23s (exit code 3)
        1970-01-01T00:00:00.000+00:00      launch 2.2s | setup 1m 20s
        ");
    }

    #[test]
    fn a_quiet_run() {
        assert_snapshot!(log(Style::PLAIN, Options { quiet: true, ..Options::default() }), @"
        00:00:00 !    one host less than asked for
        00:00:00      hint: spot create --count 1
        00:00:00 error[PartialFailure]: 1 of 1 hosts failed
        00:00:00 hint: look: spot logs i-0123456789abcdef0
        ");
    }

    #[test]
    fn colour_changes_no_letter() {
        let coloured = log(Style { color: true, unicode: true }, Options::default());
        assert!(coloured.contains("\u{1b}["));
        assert_eq!(
            crate::ui::sanitize::clean(&coloured),
            log(Style { color: false, unicode: true }, Options::default())
        );
    }

    #[test]
    fn only_data_goes_to_standard_output() {
        let (ui, stdout, stderr) = plain(Style::PLAIN, Options::default());
        samples::every_kind().into_iter().for_each(|event| ui.emit(event));
        assert_snapshot!(stdout.take(), @r#"
        Fleet
        ID      $/H
        ---  ------
        i-1  0.0125
        1 instance
        us-west-2a
        us-west-2a  _ #  0.25 to 1, last 1 us-west-2a
        us-west-2a
        Fleet
        ID      $/H
        ---  ------
        i-1  0.0125
        1 instance
        {
          "ids": [
            "i-1"
          ]
        }
        + RunInstances us-west-2  2 × t3.medium spot in subnet-?1
        ~ ssh i-?1: run `uptime`
        plan: 3 calls (1 CreateVpc, 2 RunInstances), 3 other steps, about $0.0375 an hour
              1 comparison of what is known only afterwards: a.rhai:12:8 (i-?1)
              nothing was changed
        "#);
        assert!(stderr.take().lines().all(|line| line.starts_with("00:00:00 ")));
    }

    #[test]
    fn hosts_cannot_write_into_the_terminal() {
        let (ui, _, stderr) = plain(Style::PLAIN, Options::default());
        for event in samples::evil() {
            ui.emit(event);
        }
        let text = stderr.take();
        assert!(!text.contains(crate::ui::sanitize::is_unsafe), "{text:?}");
        // No line can pretend to be another event's.
        assert!(text.lines().all(|line| line.starts_with("00:00:00 ")), "{text}");
    }

    #[test]
    fn a_closed_pipe_is_no_fault() {
        let (ui, _, _) = plain(Style::PLAIN, Options::default());
        ui.state().outputs.stdout = Output::new(Box::new(Failing(std::io::ErrorKind::BrokenPipe)), PIPE);
        assert!(!ui.broken());
        ui.emit(Event::Data("x".into()));
        ui.emit(Event::Data("y".into()));
        assert!(ui.broken());
    }

    #[test]
    fn a_full_disk_is_reported_once() {
        let (ui, _, stderr) = plain(Style::PLAIN, Options::default());
        ui.state().outputs.stdout = Output::new(Box::new(Failing(std::io::ErrorKind::StorageFull)), PIPE);
        ui.emit(Event::Data("x".into()));
        ui.emit(Event::Data("y".into()));
        assert_eq!(stderr.take().matches("cannot write to standard output").count(), 1);
    }

    #[test]
    fn questions_on_a_pipe_are_refused_unless_answered() {
        let question = Question::Confirm { text: "destroy?".into(), default: true, must_type: None };
        let (ui, _, _) = plain(Style::PLAIN, Options::default());
        let refused = ui.ask(&question).unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.hint().is_some_and(|hint| hint.contains("--yes")));
        let (ui, _, _) = plain(Style::PLAIN, Options { yes: true, ..Options::default() });
        assert_eq!(ui.ask(&question).unwrap(), Answer::Confirmed(true));
    }

    #[test]
    fn debug_messages_need_v() {
        assert!(!log(Style::PLAIN, Options::default()).contains("RequestId"));
        assert!(log(Style::PLAIN, Options { verbose: 1, ..Options::default() }).contains("RequestId"));
        let (ui, _, stderr) = plain(Style::PLAIN, Options { quiet: true, verbose: 1, ..Options::default() });
        ui.emit(Event::message(Level::Debug, "x"));
        assert_eq!(stderr.take(), "");
    }
}
