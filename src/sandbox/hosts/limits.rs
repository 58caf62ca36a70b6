//! What a host may use of the machine.

use std::time::Duration;

/// What a host may use of the machine. Nothing of it can be raised from inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostLimits {
    /// How many bytes its files may take on the machine's disk. No file can be larger; what is written over
    /// SFTP fails with `ENOSPC` beyond it; when commands go beyond it together, they are killed, and until
    /// something is deleted, commands that write fail.
    pub disk: u64,
    /// How many bytes of address space each process may have.
    pub memory: u64,
    /// How many processes and threads may run at once.
    pub processes: u32,
    /// How many files each process may have open.
    pub open_files: u32,
    /// How much processes stand back for those of the machine, 0 to 19 (`nice`).
    pub niceness: u8,
    /// How long nobody must have used a host, and nothing must run in it, until its namespaces are let go;
    /// the next use sets them up again.
    pub idle: Duration,
    /// How many bytes per second all sessions together may put out; no limit if not set.
    pub output_rate: Option<u64>,
}

impl Default for HostLimits {
    fn default() -> Self {
        HostLimits {
            disk: 2 << 30,
            memory: 16 << 30,
            processes: 2048,
            open_files: 8192,
            niceness: 5,
            idle: Duration::from_secs(10),
            output_rate: None,
        }
    }
}

impl HostLimits {
    /// The same for a host with more on its disk than it may have: no file can be made larger.
    pub(super) fn for_full_disk(&self) -> String {
        HostLimits { disk: 0, ..self.clone() }.for_shell()
    }

    /// The variables that `limits.sh` reads.
    pub(super) fn for_shell(&self) -> String {
        // The units of ulimit: blocks of 512 bytes for files, KiB for memory.
        format!(
            "limit_file={}\nlimit_memory={}\nlimit_processes={}\nlimit_files={}\nlimit_nice={}\n",
            self.disk / 512,
            self.memory.div_ceil(1024),
            self.processes,
            self.open_files,
            self.niceness.min(19)
        )
    }
}
