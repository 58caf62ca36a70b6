//! What a host of the sandbox is.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::faults::HostFaults;
use crate::sandbox::clock::Clock;

/// A host to boot: the part of an EC2 instance that its inside and its SSH server depend on.
#[derive(Clone)]
pub struct HostSpec {
    /// The instance id, `i-0abc…`.
    pub id: String,
    /// The loopback address to listen on.
    pub address: Ipv4Addr,
    /// The port to listen on.
    pub port: u16,
    /// The private address that the host believes to have; also names it (`ip-10-0-1-23`).
    pub private_ip: String,
    /// The account that logs in, `ubuntu`.
    pub user: String,
    /// The region, `us-west-2`.
    pub region: String,
    /// The availability zone, `us-west-2a`.
    pub zone: String,
    /// The instance type, `t3.medium`.
    pub instance_type: String,
    /// The image it was launched from, `ami-…`.
    pub image_id: String,
    /// Public keys of the account in OpenSSH format, from the EC2 key pair.
    pub authorized_keys: Vec<String>,
    /// Decoded user data, possibly compressed with gzip; run at the first boot.
    pub user_data: Option<Vec<u8>>,
    /// Where everything of this host is kept between processes: files, host key, marks.
    pub folder: PathBuf,
    /// How long after `launched` the port goes on refusing connections.
    pub boot_time: Duration,
    /// When the instance was launched.
    pub launched: SystemTime,
    /// The time that it boots by.
    pub clock: Clock,
    /// What goes wrong on purpose; [`Hosts::set_faults`](super::Hosts::set_faults) changes it later.
    pub faults: HostFaults,
}

impl HostSpec {
    /// The name the host gives itself: `ip-10-0-1-23` for 10.0.1.23.
    pub(super) fn hostname(&self) -> String {
        let address: String = self
            .private_ip
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(50)
            .collect();
        format!("ip-{address}")
    }

    /// When the port answers.
    pub(super) fn booted(&self) -> SystemTime {
        // A clock that was set back must not keep a host down for longer than its boot takes.
        let launched = self.launched.min(self.clock.now());
        launched.checked_add(self.boot_time + self.faults.slow_boot).unwrap_or(launched)
    }
}

/// Without keys and user data: the latter often holds secrets.
impl fmt::Debug for HostSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSpec")
            .field("id", &self.id)
            .field("address", &self.address)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
