//! The hosts of the sandbox: every pretended EC2 instance is a real SSH and SFTP server on its own
//! loopback address, with its own files and a real shell that Linux namespaces keep away from the
//! machine.
//!
//! | file | what lives there |
//! |---|---|
//! | `spec` | [`HostSpec`]: what a host is |
//! | `faults` | [`HostFaults`]: what goes wrong on purpose |
//! | `trouble`, `faulty_stream` | the faults as they are now, and connections that have some |
//! | `fleet` | [`Hosts`]: boots, halts and removes them |
//! | `host` | one host: its listener, its namespaces, its keys |
//! | `layout` | the folder of a host and its first contents |
//! | `limits`, `quota`, `tending` | what a host may use of the machine, and who looks after it |
//! | `short` | faults on a command line |
//! | `isolation` | whether and how this machine can isolate; [`available`] |
//! | `namespace` | the namespaces of one host, and commands that enter them |
//! | `user_data`, `cloud_config`, `cloud_init` | what was asked of the first boot, and its run |
//! | `server`, `session`, `process`, `spool` | the SSH server, a channel, the process behind it and its input |
//! | `tree`, `sftp` | files inside a host's root, and SFTP on top of them |
//! | `guest/` | the scripts that run inside |
//!
//! # What keeps a host inside
//! A host runs in user, mount, PID, network, IPC and UTS namespaces of its own, as an id without any
//! power outside (the user who runs spot; when that is root: 65534, before anything else happens).
//! It sees its own files, `/usr` read-only and nothing else; the old root is unmounted, not hidden.
//! Capabilities that reach beyond files and ids are dropped, new privileges and new namespaces are
//! refused, processes and memory are bounded. When the machine cannot do this, nothing runs.

mod cloud_config;
mod cloud_init;
mod faults;
mod faulty_stream;
mod fleet;
mod host;
mod isolation;
mod layout;
mod limits;
mod metadata;
mod mime;
mod namespace;
mod process;
mod quota;
mod server;
mod session;
mod sftp;
mod short;
mod spec;
mod spool;
mod tending;
mod tree;
mod trouble;
mod user_data;

pub use faults::{
    CloudInitFaults, CommandFault, ConnectionFault, DiskFaults, Ending, HostFaults, LoginFault, Moment,
};
pub use fleet::Hosts;
pub(super) use fleet::delete;
pub use isolation::available;
pub use limits::HostLimits;
pub use spec::HostSpec;

#[cfg(test)]
mod tests;
