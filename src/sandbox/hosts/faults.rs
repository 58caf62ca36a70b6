//! What goes wrong with a host on purpose.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest that anything may be delayed: a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What goes wrong with a host on purpose. The default is nothing. Times are seconds in JSON and TOML,
/// sizes are bytes. Everything is counted, nothing is drawn: the same faults give the same run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostFaults {
    /// How much longer than usual the boot takes. Looked at when the host boots.
    #[serde(with = "seconds")]
    pub slow_boot: Duration,
    /// The host is running as far as EC2 knows, but its port refuses connections for ever. Looked at when
    /// the host boots.
    pub never_boots: bool,
    /// The port refuses connections; those that are open go on.
    pub refuses: bool,
    /// The host hangs: nothing is answered on any connection, old or new, and none is closed.
    pub hangs: bool,
    /// Connections that end, or fall silent, before their time. Of several that apply to a connection the
    /// first counts.
    pub connections: Vec<ConnectionFault>,
    /// Another host key than before is shown.
    pub other_host_key: bool,
    /// What becomes of a client whose key is right.
    pub login: Option<LoginFault>,
    /// How many sessions a connection may have open at once; unlimited if not set, 10 with OpenSSH.
    pub max_sessions: Option<u32>,
    /// How many connections may be open that nobody has logged in on yet; further ones are dropped.
    pub max_startups: Option<u32>,
    /// How much later every packet of a client arrives.
    #[serde(with = "seconds")]
    pub latency: Duration,
    /// What is wrong with the disk.
    pub disk: DiskFaults,
    /// Stand-in commands (`apt-get`, `systemctl`, `docker`, …) that fail.
    pub commands: Vec<CommandFault>,
    /// What is wrong with cloud-init.
    pub cloud_init: CloudInitFaults,
}

/// A connection that ends, or falls silent, before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionFault {
    /// When.
    pub at: Moment,
    /// How.
    #[serde(default)]
    pub how: Ending,
    /// How many connections are well before the first that is not, counted from when the fault was set.
    #[serde(default)]
    pub skip: u64,
    /// How many connections it happens to; all if not set.
    #[serde(default)]
    pub times: Option<u64>,
}

/// A moment in the life of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Once it is accepted, before a byte is sent. With [`Ending::Silence`]: accepts and says nothing.
    Connect,
    /// In the middle of the line with which the server introduces itself.
    Banner,
    /// When the client has begun to exchange keys.
    KeyExchange,
    /// When the client has logged in.
    Login,
    /// After so many bytes from the client.
    Received(u64),
    /// After so many bytes to the client.
    Sent(u64),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It is closed.
    #[default]
    Close,
    /// It is reset.
    Reset,
    /// It stays open, and nothing is answered any more: a half-open connection.
    Silence,
}

/// What becomes of a client whose key is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginFault {
    /// Every key is refused.
    Refused,
    /// Every command is answered `Please login as the user "…" rather than the user "…".` with status
    /// 142, as images of Ubuntu do for `root`; this is the user that is named.
    OtherUser(String),
}

/// What is wrong with the disk of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskFaults {
    /// How many bytes per second SFTP reads and writes, and commands read from their input.
    pub bytes_per_second: Option<u64>,
    /// How many more bytes (to the next 4 KiB) fit below `/home`, `/root`, `/opt`, `/srv`, `/var`, `/tmp` and
    /// `/mnt`: then writing fails with `ENOSPC`, in commands and over SFTP. Processes that run when this is
    /// set keep what they have open.
    pub full_after: Option<u64>,
    /// SFTP reads and writes fail with `EIO`, and the same folders are read-only for commands, as Linux
    /// makes a file system whose disk fails.
    pub broken: bool,
}

/// A stand-in command that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandFault {
    /// Its name, `apt-get`.
    pub command: String,
    /// A shell pattern for its arguments joined by spaces, `*install*nginx*`; all if not set.
    #[serde(default)]
    pub arguments: Option<String>,
    /// Its exit status, 1 to 255.
    #[serde(default = "one")]
    pub status: u8,
    /// What it says on standard error.
    #[serde(default)]
    pub stderr: String,
    /// How often it fails before it works, counted from when the fault was set; always if not set.
    #[serde(default)]
    pub times: Option<u64>,
}

/// What is wrong with cloud-init; for hosts with user data, on their first boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CloudInitFaults {
    /// How much longer it takes.
    #[serde(with = "seconds")]
    pub slow: Duration,
    /// It ends with this error, and runs nothing.
    pub error: Option<String>,
}

fn one() -> u8 {
    1
}

impl HostFaults {
    /// What goes wrong, by name, as JSON; what does not is left out.
    pub fn unusual(&self) -> serde_json::Map<String, serde_json::Value> {
        crate::sandbox::faults::text::unusual(self)
    }

    /// Checks what the types leave open.
    ///
    /// # Errors
    /// Naming the field, and what was expected.
    pub fn check(&self) -> Result<()> {
        for (name, time) in [
            ("slow_boot", self.slow_boot),
            ("latency", self.latency),
            ("cloud_init.slow", self.cloud_init.slow),
        ] {
            if time > LONGEST {
                return Err(Error::usage(format!("{name}: expected at most 86400 seconds")));
            }
        }
        for (name, number) in [
            ("max_sessions", self.max_sessions.map(u64::from)),
            ("max_startups", self.max_startups.map(u64::from)),
            ("disk.bytes_per_second", self.disk.bytes_per_second),
        ] {
            if number == Some(0) {
                return Err(Error::usage(format!("{name}: expected at least 1")));
            }
        }
        for fault in &self.commands {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
            if fault.command.is_empty() || !fault.command.chars().all(plain) {
                let message = format!(
                    "commands: `{}` is not the name of a command, expected one like `apt-get`",
                    fault.command
                );
                return Err(Error::usage(message));
            }
            if fault.status == 0 {
                return Err(Error::usage(format!(
                    "commands: {}: expected a status of 1 to 255",
                    fault.command
                )));
            }
            if [fault.arguments.as_deref().unwrap_or_default(), &fault.stderr]
                .iter()
                .any(|it| it.contains('\0'))
            {
                return Err(Error::usage(format!("commands: {}: expected no zero byte", fault.command)));
            }
        }
        Ok(())
    }
}

/// Times as numbers of seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let number = f64::deserialize(from)?;
        Duration::try_from_secs_f64(number)
            .map_err(|_| D::Error::custom(format!("`{number}` is not a time, expected seconds such as 1.5")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_people_write_them() {
        let faults: HostFaults = serde_json::from_value(serde_json::json!({
            "slow_boot": 2,
            "connections": [{ "at": "banner", "how": "reset", "times": 2 }, { "at": { "sent": 4096 }, "how": "silence" }],
            "login": { "other-user": "ubuntu" },
            "latency": 0.05,
            "disk": { "full_after": 1000 },
            "commands": [{ "command": "apt-get", "arguments": "*install*", "status": 100, "stderr": "E: no\n", "times": 1 }],
            "cloud_init": { "error": "no network" },
        }))
        .unwrap();
        assert_eq!(faults.slow_boot, Duration::from_secs(2));
        assert_eq!(faults.latency, Duration::from_millis(50));
        assert_eq!(faults.connections[0].how, Ending::Reset);
        assert_eq!(faults.connections[1].at, Moment::Sent(4096));
        assert_eq!(faults.login, Some(LoginFault::OtherUser("ubuntu".to_owned())));
        faults.check().unwrap();
        let again: HostFaults = serde_json::from_str(&serde_json::to_string(&faults).unwrap()).unwrap();
        assert_eq!(again, faults);
        assert_eq!(serde_json::from_str::<HostFaults>("{}").unwrap(), HostFaults::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            (r#"{"slow_bot": 1}"#, "slow_bot"),
            (r#"{"latency": -1}"#, "-1"),
            (r#"{"latency": 1e9}"#, "latency"),
            (r#"{"connections": [{"at": "bannner"}]}"#, "bannner"),
            (r#"{"max_sessions": 0}"#, "max_sessions"),
            (r#"{"commands": [{"command": "a b"}]}"#, "a b"),
            (r#"{"commands": [{"command": "sudo", "status": 0}]}"#, "1 to 255"),
        ] {
            let said = match serde_json::from_str::<HostFaults>(text) {
                Err(error) => error.to_string(),
                Ok(faults) => faults.check().unwrap_err().to_string(),
            };
            assert!(said.contains(named), "{text}: {said}");
        }
    }
}
