//! Ctrl-C, Ctrl-Z, SIGTERM and SIGHUP.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Result};
use crate::host::{Host, Interrupter};
use crate::ui::{Event, Level, Ui};

/// What a signal finds the process doing.
#[derive(Debug, Default)]
pub(super) struct Activity {
    idle: AtomicBool,
    leaving: AtomicBool,
}

impl Activity {
    /// Whether nothing runs: a prompt waits for a line.
    pub fn set_idle(&self, idle: bool) {
        self.idle.store(idle, Ordering::SeqCst);
    }

    /// Whether a signal asked the process to end once nothing runs.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }
}

/// Interrupts the host at the first signal of a run, stops waiting at its second, and leaves at its
/// third. At an idle prompt, SIGTERM and SIGHUP end the process and Ctrl-C is the prompt's own.
pub(super) fn watch(host: &Host, ui: &Arc<dyn Ui>, activity: &Arc<Activity>) -> Result<()> {
    let fail = |error: std::io::Error| Error::internal("signals cannot be watched").with_source(error);
    let watcher =
        Watcher { interrupter: host.interrupter(), ui: Arc::clone(ui), activity: Arc::clone(activity) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(fail)?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(fail)?;
    let mut stop = signal(SignalKind::from_raw(Signal::SIGTSTP as i32)).map_err(fail)?;
    drop(guard);
    let watch = move || {
        runtime.block_on(async move {
            loop {
                let ends = tokio::select! {
                    _ = interrupt.recv() => false,
                    _ = terminate.recv() => true,
                    _ = hangup.recv() => true,
                    _ = stop.recv() => {
                        watcher.stop();
                        continue;
                    }
                };
                watcher.handle(ends);
            }
        });
    };
    std::thread::Builder::new().name("spot-signals".to_owned()).spawn(watch).map_err(fail)?;
    Ok(())
}

struct Watcher {
    interrupter: Interrupter,
    ui: Arc<dyn Ui>,
    activity: Arc<Activity>,
}

impl Watcher {
    /// One signal; `ends` when it asks for the end of the process and not only of what runs.
    fn handle(&self, ends: bool) {
        let asked_before = self.activity.leaving.fetch_or(ends, Ordering::SeqCst);
        if ends {
            self.interrupter.leave();
        }
        if self.activity.idle.load(Ordering::SeqCst) {
            return self.wake_prompt(ends, asked_before);
        }
        let text = match self.interrupter.interrupt() {
            1 => "interrupted: finishing what is under way; once more to stop waiting for it",
            2 => "stopping now; what was begun is in the journal, and the next command finds it",
            _ => self.exit(),
        };
        self.ui.emit(Event::message(Level::Warning, text));
    }

    /// Ends an idle prompt. On a terminal it does that itself, woken by the one signal that it
    /// handles: so the terminal is restored and everything is dropped. Otherwise it waits for input
    /// and cannot be woken.
    fn wake_prompt(&self, ends: bool, asked_before: bool) {
        let prompts = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if !prompts || asked_before {
            self.exit();
        }
        if ends {
            // Its own process can always be signalled.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGINT);
        }
    }

    /// Ctrl-Z: the shell gets the terminal as it was, and the live view comes back with `fg`.
    ///
    /// Without a shell of the same session nobody could continue a stopped process: it goes on, as the
    /// kernel would have it for one that does not handle the signal (POSIX: orphaned process groups).
    fn stop(&self) {
        use nix::unistd::{getppid, getsid};
        if getsid(Some(getppid())).ok() != getsid(None).ok() {
            return;
        }
        self.ui.suspend();
        // Its own process can always be signalled. This goes on when the process does.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), Signal::SIGSTOP);
        self.ui.resume();
    }

    fn exit(&self) -> ! {
        self.ui.finish();
        std::process::exit(130);
    }
}
