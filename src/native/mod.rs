//! The script face: one file per namespace, and translation only.
//!
//! To add a native function, write one `pub fn` in the file of its namespace. Its doc comment is
//! the reference entry and the REPL's help, and the `rhai` block in it is an example that a test
//! runs on the sandbox.

mod adoption;
mod aws;
mod config;
mod context;
mod deployment;
mod drift;
mod expiry;
mod fs;
mod hosts;
mod http;
mod interruption;
mod live;
mod market;
mod network;
mod on_failure;
mod options;
mod past;
mod planning;
mod prelude;
mod recipe;
mod record;
mod removal;
mod rollback;
mod runtime;
mod sandbox;
mod selection;
mod shared_state;
mod shell;
mod ssh;
mod state;
mod sys;
mod table;
mod target;
mod thrown;
mod ui;
mod unknown;

use rhai::{Engine, Module, Shared, exported_module};

pub(crate) use context::{Context, Place};
pub(crate) use deployment::Deployment;
pub(crate) use hosts::{known as known_hosts, known_names as host_names};
pub use on_failure::OnFailure;
pub(crate) use planning::Planning;
pub(crate) use recipe::error_of;
pub(crate) use rollback::{Remains, RolledBack, roll_back};
pub(crate) use shell::open as open_shell;
pub(crate) use thrown::to_json;
pub(crate) use unknown::watch as watch_unknowns;

pub(crate) use crate::state::Store;

/// Names and modules of all namespaces, in the order of the reference.
pub(crate) fn namespaces() -> Vec<(&'static str, Shared<Module>)> {
    vec![
        ("aws", aws_namespace().into()),
        ("ssh", exported_module!(ssh::ssh).into()),
        ("state", state_namespace().into()),
        ("ui", ui_namespace().into()),
        ("config", exported_module!(config::config).into()),
        ("fs", exported_module!(fs::fs).into()),
        ("http", exported_module!(http::http).into()),
        ("sys", exported_module!(sys::sys).into()),
        ("sandbox", exported_module!(sandbox::sandbox).into()),
    ]
}

/// `aws::` is spread over several files, one for each concern.
fn aws_namespace() -> Module {
    let mut namespace = exported_module!(aws::aws);
    namespace.combine(exported_module!(market::market));
    namespace.combine(exported_module!(network::network));
    namespace.combine(exported_module!(removal::removal));
    namespace.combine(exported_module!(expiry::expiry));
    namespace.combine(exported_module!(interruption::interruption));
    namespace
}

/// `ui::` likewise.
fn ui_namespace() -> Module {
    let mut namespace = exported_module!(ui::ui);
    namespace.combine(exported_module!(live::live));
    namespace
}

/// `state::` likewise.
fn state_namespace() -> Module {
    let mut namespace = exported_module!(state::state);
    namespace.combine(exported_module!(drift::drift));
    namespace.combine(exported_module!(adoption::adoption));
    namespace
}

/// Registers the namespaces and the functions that need none.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_global_module(exported_module!(prelude::prelude).into());
    engine.register_global_module(exported_module!(on_failure::policy).into());
    engine.register_global_module(exported_module!(hosts::hosts).into());
    for (name, module) in namespaces() {
        engine.register_static_module(name, module);
    }
}
