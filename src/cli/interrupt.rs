//! Ctrl-C, SIGTERM and SIGHUP.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::ui::{Event, Level, Ui};

/// Interrupts the host at the first signal, stops waiting at the second, and leaves at the third.
pub(super) fn watch(host: &Host, ui: &Arc<dyn Ui>) -> Result<()> {
    let fail = |error: std::io::Error| Error::internal("signals cannot be watched").with_source(error);
    let (interrupter, ui) = (host.interrupter(), Arc::clone(ui));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(fail)?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(fail)?;
    drop(guard);
    let watch = move || {
        runtime.block_on(async move {
            for count in 1.. {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                let text = match count {
                    1 => "interrupted: finishing what is under way; once more to stop waiting for it",
                    2 => "stopping now; what was begun is in the journal, and the next command finds it",
                    _ => {
                        ui.finish();
                        std::process::exit(130);
                    }
                };
                ui.emit(Event::message(Level::Warning, text));
                interrupter.interrupt();
            }
        });
    };
    std::thread::Builder::new().name("spot-signals".to_owned()).spawn(watch).map_err(fail)?;
    Ok(())
}
