//! spot runs deployment recipes: scripts in [Rhai](https://rhai.rs) that launch EC2 spot instances,
//! deploy to them over SSH and remove them again, with state that survives a crash.
//!
//! The command line is one user of this crate; another Rust program is the next. A recipe runs on a
//! [`Host`]:
//!
//! ```
//! use spot::{Host, Sandbox};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let project = folder.path();
//! std::fs::write(project.join("hello.rhai"), r#"
//!     let opt = args(#{ name: "world" });
//!     `hello ${opt.name}, ${aws::regions().len()} regions are enabled`
//! "#)?;
//!
//! // A cloud of its own on loopback. Without it, the host speaks to EC2.
//! let sandbox = Sandbox::start(project)?;
//! let host = Host::builder().project(project).sandbox(&sandbox).build()?;
//! let path = project.join("hello.rhai");
//! let outcome = host.run(&path.to_string_lossy(), ["--name", "spot"])?;
//! assert_eq!(outcome.value, "hello spot, 17 regions are enabled");
//! # Ok(())
//! # }
//! ```
//!
//! | folder | what lives there |
//! |---|---|
//! | `host` | scripts run here: [`Host`], its engine, sessions, failures |
//! | `script` | where scripts come from, and their command lines |
//! | `native` | the functions that scripts see, a file per namespace |
//! | [`config`] | `spot.toml` and `config.yaml`, typed and checked |
//! | [`cloud`] | instances and networks: the [`cloud::Cloud`] trait, and EC2 |
//! | [`ssh`] | sessions, commands and transfers |
//! | [`state`] | what the project has made, killed at any instant |
//! | [`ui`] | events, and who shows them |
//! | [`sandbox`] | a cloud on loopback: EC2's wire protocol and isolated hosts |
//! | [`chaos`] | recipes in worlds in which everything goes wrong, and what must hold then |
//! | [`cli`] | the command line |
//! | `lifetime` | how long something is to live, as people write it |
//! | [`error`], [`retry`] | the one error type, the one retry policy |
//! | [`control`] | asks something of a running sandbox |

pub mod chaos;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod control;
pub mod error;
mod host;
mod http;
mod lifetime;
mod native;
pub mod retry;
pub mod sandbox;
mod script;
pub mod ssh;
pub mod state;
pub mod ui;

pub use error::{Error, Kind, Result};
pub use host::{
    Description, Details, Failure, Function, Host, HostBuilder, Interrupter, OnFailure, Outcome, Reference,
    Session, Submission,
};
pub use sandbox::Sandbox;
pub use script::{Argument, CODES, Code, Finding, Library, Origin, Script, Severity};
