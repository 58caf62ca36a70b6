//! `spot ssh [ID|INDEX] [-- COMMAND]`: a terminal on a host, or one command.

use std::sync::Arc;

use super::interrupt;
use super::options::Options;
use crate::host::Failure;
use crate::ui::Ui;

/// Opens it; the exit code is that of what ran on the host.
pub(super) fn run(
    options: &Options,
    ui: &Arc<dyn Ui>,
    instance: Option<&str>,
    command: &[String],
    tty: bool,
) -> Result<u8, Failure> {
    let sandbox = options.start_sandbox(ui)?;
    let host = options.host(Arc::clone(ui), sandbox.as_ref())?.build()?;
    interrupt::watch(&host, ui, &Arc::default())?;
    host.shell(instance, command, tty)
}
