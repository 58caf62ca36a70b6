//! Where scripts come from and what their command lines look like.
//!
//! The most specific place wins, for recipes and stdlib modules alike: a path, the project, the
//! user's configuration folder, the copy embedded in the binary. Nothing is overridden silently:
//! every [`Script`] knows its [`Origin`], and `spot list-recipes` and all errors name it.

mod arguments;
mod check;
mod embedded;
mod format;
mod library;
mod resolver;

#[cfg(test)]
pub use arguments::RESERVED;
pub use arguments::{Argument, Given};
pub(crate) use check::options_of;
pub use check::{CODES, Check, Code, Finding, SYNTAX, Severity, calls_args, code};
pub(crate) use format::{format, same};
pub use library::{Library, Origin, Script};
pub use resolver::ProjectModules;
