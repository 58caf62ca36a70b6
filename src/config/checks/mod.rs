//! The checks of single values, one file per family, shared by both file formats.
//!
//! Each takes a value with its place, reports what is wrong with it there, and gives back what can
//! be used.

pub(super) mod deploy;
pub(super) mod deployment;
pub(super) mod fleet;
pub(super) mod key_files;
pub(super) mod network;
pub(super) mod paths;
pub(super) mod project;
pub(super) mod secrets;
pub(super) mod shared;
pub(super) mod tags;
