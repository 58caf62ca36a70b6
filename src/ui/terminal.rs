//! The renderer for terminals: finished things scroll by, what is going on stays at the bottom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Ui;
use super::display::{Display, FRAME, LEAVE_SCREEN, SHOW_CURSOR, Size};
use super::environment::{Decision, Options};
use super::event::Event;
use super::full;
use super::keyboard::Keyboard;
use super::lines;
use super::output::Outputs;
use super::prompt::Tty;
use super::question::{self, Answer, Question};
use super::sanitize::neutralise;
use crate::error::Result;

/// How long [`Ui::finish`] waits for a thread that is drawing.
const PATIENCE: Duration = Duration::from_millis(200);

/// The renderer with a live region.
pub(super) struct Terminal {
    core: Arc<Core>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

struct Core {
    display: Mutex<Display>,
    wake: Condvar,
    asking: Mutex<()>,
    /// The keys that are pressed while the full layout has the screen.
    keyboard: Keyboard,
    /// Whether it has, for who cannot wait for the display.
    entered: AtomicBool,
    options: Options,
    interactive: bool,
}

impl Terminal {
    pub(super) fn open(outputs: Outputs, options: Options, decision: &Decision) -> Self {
        let size = || {
            let (columns, lines) = terminal_size::terminal_size_of(std::io::stderr())?;
            Some((usize::from(columns.0), usize::from(lines.0)))
        };
        let terminal = Terminal::new(outputs, options, decision, Box::new(size));
        let core = Arc::clone(&terminal.core);
        // Without a thread frames are drawn by the events alone: less lively, not wrong.
        let ticker = std::thread::Builder::new().name("ui".to_owned()).spawn(move || core.tick());
        *terminal.ticker.lock().unwrap_or_else(PoisonError::into_inner) = ticker.ok();
        terminal
    }

    fn new(outputs: Outputs, options: Options, decision: &Decision, size: Size) -> Self {
        let display = Display::new(outputs, decision.fixed_width, options.screen, size);
        let core = Core {
            display: Mutex::new(display),
            wake: Condvar::new(),
            asking: Mutex::new(()),
            keyboard: Keyboard::default(),
            entered: AtomicBool::new(false),
            options,
            interactive: decision.interactive,
        };
        Terminal { core: Arc::new(core), ticker: Mutex::new(None) }
    }
}

impl Core {
    fn display(&self) -> MutexGuard<'_, Display> {
        self.display.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws a frame whenever one is due, until the end.
    fn tick(&self) {
        let mut display = self.display();
        while !display.finished {
            self.settle(&display);
            if display.idle() {
                display = self.wake.wait(display).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let keys = full::keys(&self.keyboard.read());
            match keys.is_empty() {
                true => display.draw(Instant::now()),
                false => display.press(&keys, Instant::now()),
            }
            self.settle(&display);
            display = self.wake.wait_timeout(display, FRAME).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Listens to keys as long as the full layout has the screen.
    fn settle(&self, display: &Display) {
        if self.entered.swap(display.entered, Ordering::SeqCst) == display.entered {
            return;
        }
        match display.entered {
            true => self.keyboard.take(),
            false => self.keyboard.release(),
        }
    }

    fn emit(&self, event: Event, now: Instant) {
        if !lines::wanted(&event, &self.options) {
            return;
        }
        let event = neutralise(event);
        let mut display = self.display();
        let was_empty = display.live.is_empty();
        display.show(&event, &self.options, now);
        if was_empty && !display.live.is_empty() {
            self.wake.notify_all();
        }
    }
}

/// Keeps the region off the screen while it lives.
struct Suspension<'a>(&'a Terminal);

impl Drop for Suspension<'_> {
    fn drop(&mut self) {
        self.0.resume();
    }
}

impl Ui for Terminal {
    fn emit(&self, event: Event) {
        self.core.emit(event, Instant::now());
    }

    fn ask(&self, question: &Question) -> Result<Answer> {
        if let Some(answer) = question::answered(question, &self.core.options) {
            return Ok(answer);
        }
        if !self.core.interactive {
            return Err(question::refusal(question));
        }
        let _one_at_a_time = self.core.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.suspend();
        let _suspension = Suspension(self);
        let style = self.core.display().outputs.stderr.sink.style;
        question::ask(question, &mut Tty, &style)
    }

    fn has_listener(&self) -> bool {
        self.core.interactive && !self.core.options.yes
    }

    fn suspend(&self) {
        let mut display = self.core.display();
        display.suspend(Instant::now());
        self.core.settle(&display);
    }

    fn resume(&self) {
        self.core.display().resume(Instant::now());
        self.core.wake.notify_all();
    }

    fn finish(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.core.display.try_lock() {
                Ok(mut display) => break display.finish(Instant::now()),
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner().finish(Instant::now()),
                // A panic hook runs in the thread that may hold the lock: what matters is the cursor.
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    let screen = if self.core.entered.load(Ordering::SeqCst) { LEAVE_SCREEN } else { "" };
                    let text = format!("{screen}{SHOW_CURSOR}");
                    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
                    break;
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        self.core.entered.store(false, Ordering::SeqCst);
        self.core.keyboard.release();
        self.core.wake.notify_all();
    }

    fn broken(&self) -> bool {
        self.core.display().outputs.stdout.broken()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.finish();
        let ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ticker) = ticker {
            // Its panic, if it had one, has been reported by the panic hook.
            let _ = ticker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::ui::display::{END_FRAME, rows};
    use crate::ui::event::Level;
    use crate::ui::output::{
        Output,
        tests::{PIPE, Shared},
    };
    use crate::ui::screen::Screen;
    use crate::ui::style::Style;
    use crate::ui::{Format, Sink, samples};
    use insta::assert_snapshot;
    use proptest::prelude::*;

    const COLUMNS: usize = 60;
    const LINES: usize = 12;

    struct Tester {
        ui: Terminal,
        tty: Shared,
        screen: Screen,
        now: Instant,
    }

    impl Tester {
        /// A terminal with both streams on one screen, and no thread: the tests say when it is time.
        fn new(options: Options) -> Self {
            let tty = Shared::default();
            let sink = Sink { tty: true, columns: COLUMNS, style: Style { color: true, unicode: true } };
            let decision = Decision {
                format: Format::Terminal,
                stdout: sink,
                stderr: sink,
                fixed_width: false,
                interactive: false,
            };
            let outputs = Outputs {
                stdout: Output::new(Box::new(tty.clone()), sink),
                stderr: Output::new(Box::new(tty.clone()), sink),
            };
            let ui = Terminal::new(outputs, options, &decision, Box::new(|| Some((COLUMNS, LINES))));
            let now = ui.core.display().opened;
            Tester { ui, tty, screen: Screen::new(COLUMNS, LINES), now }
        }

        fn emit(&mut self, event: Event) {
            self.ui.core.emit(event, self.now);
        }

        fn pass(&mut self, milliseconds: u64) -> String {
            self.now += Duration::from_millis(milliseconds);
            self.ui.core.display().draw(self.now);
            self.seen()
        }

        fn seen(&mut self) -> String {
            self.screen.write(&self.tty.take());
            self.screen.text()
        }
    }

    #[test]
    fn a_run_leaves_a_whole_scrollback_and_no_region() {
        let mut tester = Tester::new(Options::default());
        let mut events = samples::run().into_iter();
        events.by_ref().take(4).for_each(|event| tester.emit(event));
        assert_eq!(tester.seen(), "");
        assert_snapshot!(tester.pass(1500), @"
        ⠴ create ── 1 host: 1 launching ──────────────────────── 1s
        ⠴ i-01234567  us-west-2a  54.1.2.3  launching  1s
        ⠴ launching 1 instance  1s
        ");
        assert!(!tester.screen.cursor_visible);
        events.by_ref().take(4).for_each(|event| tester.emit(event));
        assert_snapshot!(tester.pass(1500), @"
        ✔ launching 1 instance  2.2s  us-west-2a
        [i-01234567] done
        ⠋ create ── 1 host: 1 setup ──────────────────────────── 3s
        ⠋ i-01234567  us-west-2a  t3.medium  54.1.2.3  setup  1s
        ");
        // More lines than the screen has scroll by above the region.
        for number in 0..30 {
            tester.emit(Event::Output {
                host: "i-1".into(),
                stream: crate::ui::Stream::Stdout,
                line: format!("line {number}"),
            });
            if number % 7 == 0 {
                tester.pass(120);
            }
        }
        events.for_each(|event| tester.emit(event));
        tester.ui.finish();
        assert_snapshot!(tester.seen(), @"
        ✔ launching 1 instance  2.2s  us-west-2a
        [i-01234567] done
        [i-1] line 0
        [i-1] line 1
        [i-1] line 2
        [i-1] line 3
        [i-1] line 4
        [i-1] line 5
        [i-1] line 6
        [i-1] line 7
        [i-1] line 8
        [i-1] line 9
        [i-1] line 10
        [i-1] line 11
        [i-1] line 12
        [i-1] line 13
        [i-1] line 14
        [i-1] line 15
        [i-1] line 16
        [i-1] line 17
        [i-1] line 18
        [i-1] line 19
        [i-1] line 20
        [i-1] line 21
        [i-1] line 22
        [i-1] line 23
        [i-1] line 24
        [i-1] line 25
        [i-1] line 26
        [i-1] line 27
        [i-1] line 28
        [i-1] line 29
        ✖ [i-0123456789abcdef0] failed in phase setup: apt-get faile
        d (us-west-2a)
        ! one host less than asked for
          hint: spot create --count 1
        error[PartialFailure]: 1 of 1 hosts failed
        hint: look: spot logs i-0123456789abcdef0
        ✖ create failed after 1m 23s (exit code 3) · 1 host: 1 faile
        d
          launch 2.2s · setup 1m 20s
        ");
        assert!(tester.screen.cursor_visible);
    }

    #[test]
    fn frames_keep_their_distance() {
        let mut tester = Tester::new(Options::default());
        tester.emit(Event::StepStarted { id: 1, parent: None, title: "a".into() });
        tester.pass(500);
        for number in 0..1000 {
            tester.emit(Event::message(Level::Info, format!("message {number}")));
        }
        assert_eq!(tester.tty.take(), "");
        let shown = tester.pass(100);
        assert!(shown.contains("message 0\n") && shown.contains("message 999\n⠦ a  0s"), "{shown}");
        // Nothing changes, not even the spinner: nothing is written.
        tester.ui.core.display().draw(tester.now);
        assert_eq!(tester.tty.take(), "");
    }

    #[test]
    fn a_quick_command_never_draws_a_region() {
        let mut tester = Tester::new(Options::default());
        for event in [
            Event::RunStarted { recipe: "list".into(), origin: "embedded".into(), spot_version: "0".into() },
            Event::Data("three hosts".into()),
            Event::RunEnded { recipe: "list".into(), ok: true, exit_code: 0, seconds: 0.1, timeline: vec![] },
        ] {
            tester.emit(event);
        }
        tester.pass(100);
        tester.ui.finish();
        assert_eq!(tester.tty.take(), "");
        assert_eq!(tester.screen.text(), "three hosts");
    }

    #[test]
    fn data_on_a_pipe_bypasses_the_region() {
        let mut tester = Tester::new(Options::default());
        let pipe = Shared::default();
        tester.ui.core.display().outputs.stdout = Output::new(Box::new(pipe.clone()), PIPE);
        tester.emit(Event::StepStarted { id: 1, parent: None, title: "a".into() });
        tester.pass(500);
        tester.emit(Event::Data("x".into()));
        assert_eq!(pipe.take(), "x\n");
        assert_eq!(tester.tty.take(), "");
    }

    #[test]
    fn a_suspension_clears_the_screen_and_keeps_what_was_said() {
        let mut tester = Tester::new(Options::default());
        tester.emit(Event::StepStarted { id: 1, parent: None, title: "a".into() });
        assert_eq!(tester.pass(500), "⠴ a  0s");
        tester.ui.suspend();
        assert_eq!(tester.seen(), "");
        assert!(tester.screen.cursor_visible);
        tester.emit(Event::message(Level::Success, "later"));
        assert_eq!(tester.pass(500), "");
        tester.ui.resume();
        assert_eq!(tester.pass(100), "✔ later\n⠙ a  1s");
    }

    #[test]
    fn finishing_twice_is_fine_and_later_events_are_still_shown() {
        let mut tester = Tester::new(Options::default());
        tester.emit(Event::StepStarted { id: 1, parent: None, title: "a".into() });
        tester.pass(500);
        tester.ui.core.display().finish(tester.now);
        tester.ui.finish();
        assert_eq!(tester.seen(), "! a  not finished after 0.5s");
        assert!(tester.screen.cursor_visible);
        tester.emit(Event::StepStarted { id: 2, parent: None, title: "b".into() });
        tester.emit(Event::message(Level::Success, "after"));
        let shown = tester.pass(1000);
        assert!(shown.ends_with("✔ after"), "{shown}");
        assert!(tester.screen.cursor_visible);
    }

    #[test]
    fn a_finish_while_another_thread_draws_does_not_hang() {
        let tester = Tester::new(Options::default());
        let display = tester.ui.core.display();
        std::thread::scope(|scope| {
            let finish = scope.spawn(|| tester.ui.finish());
            assert!(finish.join().is_ok());
        });
        drop(display);
    }

    #[test]
    fn the_ticker_draws_and_ends() {
        let tty = Shared::default();
        let sink = Sink { tty: true, columns: COLUMNS, style: Style::PLAIN };
        let decision = Decision {
            format: Format::Terminal,
            stdout: sink,
            stderr: sink,
            fixed_width: true,
            interactive: false,
        };
        let outputs = Outputs {
            stdout: Output::new(Box::new(tty.clone()), sink),
            stderr: Output::new(Box::new(tty.clone()), sink),
        };
        let ui = Terminal::open(outputs, Options::default(), &decision);
        ui.emit(Event::StepStarted { id: 1, parent: None, title: "working".into() });
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut drawn = String::new();
        while !drawn.contains("working") {
            assert!(Instant::now() < deadline, "no frame in time: {drawn}");
            std::thread::yield_now();
            drawn.push_str(&tty.take());
        }
        drop(ui);
        drawn.push_str(&tty.take());
        assert!(drawn.ends_with(&format!("{SHOW_CURSOR}{END_FRAME}")), "{drawn:?}");
    }

    #[test]
    fn hosts_cannot_write_into_the_terminal() {
        let mut tester = Tester::new(Options { verbose: 1, ..Options::default() });
        for event in samples::evil() {
            tester.emit(event);
            // The screen fails on every sequence that is not ours.
            tester.pass(500);
        }
    }

    #[test]
    fn quiet_shows_no_region() {
        let mut tester = Tester::new(Options { quiet: true, ..Options::default() });
        samples::run().into_iter().for_each(|event| {
            tester.emit(event);
            tester.pass(500);
        });
        assert_snapshot!(tester.seen(), @"
        ! one host less than asked for
          hint: spot create --count 1
        error[PartialFailure]: 1 of 1 hosts failed
        hint: look: spot logs i-0123456789abcdef0
        ");
    }

    #[test]
    fn questions_without_a_person_are_refused() {
        let tester = Tester::new(Options::default());
        let question = Question::Confirm { text: "t".into(), default: true, must_type: None };
        assert_eq!(tester.ui.ask(&question).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn a_narrower_screen_has_wrapped_the_lines() {
        let lines = ["x".repeat(59), String::new(), "\u{1b}[31m12345\u{1b}[0m".to_owned()];
        assert_eq!(rows(&lines, 60), 3);
        assert_eq!(rows(&lines, 30), 4);
        assert_eq!(rows(&lines, 4), 15 + 1 + 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Whatever happens in whatever order, the scrollback has every line once and in order, and
        /// nothing of the region.
        #[test]
        fn the_scrollback_stays_whole(happenings in prop::collection::vec((0_u8..8, 1_u64..5, 0_u64..400), 1..40)) {
            let mut tester = Tester::new(Options::default());
            let mut said = Vec::new();
            for (number, (what, id, milliseconds)) in happenings.into_iter().enumerate() {
                match what {
                    0 => tester.emit(Event::StepStarted { id, parent: Some(id - 1), title: format!("step {id}") }),
                    1 => tester.emit(samples::host(if id == 1 { "ready" } else { "setup" }, false)),
                    2 => tester.emit(samples::progress(number as u64, 60)),
                    3 => tester.emit(Event::ProgressEnded { id: 7, ok: true }),
                    4 => tester.ui.core.display().suspend(tester.now),
                    5 => tester.ui.core.display().resume(tester.now),
                    _ => {
                        let line = format!("{}{number}", "long ".repeat(id as usize * 5));
                        tester.emit(Event::Data(line.as_str().into()));
                        said.push(line);
                    }
                }
                tester.pass(milliseconds);
            }
            tester.ui.core.display().live = crate::ui::live::Live::default();
            tester.ui.finish();
            let mut expected = Screen::new(COLUMNS, LINES);
            said.iter().for_each(|line| expected.write(&format!("{line}\n")));
            prop_assert_eq!(tester.seen(), expected.text());
            prop_assert!(tester.screen.cursor_visible);
        }
    }
}
