//! `spot sandbox …`: the project's sandbox as something that runs, for other commands and other tools.

mod amount;
mod calls;
mod chaos;
mod clock;
mod env;
mod faults;
mod host;
mod instance;
mod interrupt;
mod reset;
mod start;
mod status;
mod stop;

use std::sync::Arc;

use clap::Subcommand;

use super::options::Options;
use crate::error::{Error, Result};
use crate::host::Failure;
use crate::sandbox::Sandbox;
use crate::ui::Ui;

/// What can be done with the project's sandbox; a file per command.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the project's sandbox until Ctrl-C, or in the background
    Start(start::Start),
    /// Show whether it runs, and what is in it
    Status(status::Status),
    /// Print the environment variables with which other tools use it
    Env(env::Env),
    /// Take a spot instance back, as AWS does
    Interrupt(interrupt::Interrupt),
    /// Show what goes wrong in it on purpose, or change that
    Faults(faults::Faults),
    /// Show its clock, set it ahead or make it faster
    Clock(clock::Clock),
    /// Make things go wrong with a host, or show what does and what it was asked
    Host(host::Host),
    /// Show the calls that its endpoint has answered
    Calls(calls::Calls),
    /// End it; its instances and files stay
    Stop(stop::Stop),
    /// Remove all its instances and files, and the state of this project in it
    Reset(reset::Reset),
    /// Run recipes in worlds in which everything goes wrong, and check what must hold
    Chaos(chaos::Chaos),
}

/// Runs a command and returns the exit code.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>, command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Start(command) => command.run(options, ui),
        Command::Status(command) => command.run(options, ui),
        Command::Env(command) => command.run(options, ui),
        Command::Interrupt(command) => command.run(options, ui),
        Command::Faults(command) => command.run(options, ui),
        Command::Clock(command) => command.run(options, ui),
        Command::Host(command) => command.run(options, ui),
        Command::Calls(command) => command.run(options, ui),
        Command::Stop(command) => command.run(options, ui),
        Command::Reset(command) => command.run(options, ui),
        Command::Chaos(command) => command.run(options, ui),
    }
}

/// The running sandbox of the project.
fn running(options: &Options) -> Result<Sandbox> {
    Sandbox::attach(&options.project()?)?.ok_or_else(|| {
        Error::usage("no sandbox of this project is running")
            .with_hint("spot sandbox start --detach starts it")
    })
}
