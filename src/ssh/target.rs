//! A host to talk to.

use std::fmt;
use std::path::Path;

use super::quote;

/// A host to talk to: where it is, who logs in, and what it is called in messages and `known_hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The instance id: the label in messages and the name its host key is recorded under. An
    /// address may be given to another instance tomorrow; the id never is.
    pub id: String,
    /// A host name or an IP address.
    pub address: String,
    /// The TCP port, usually 22.
    pub port: u16,
    /// The login user.
    pub user: String,
}

impl Target {
    /// The `ssh` command a person can type to see for themselves what is wrong.
    pub(super) fn command_line(&self, identity: Option<&Path>, known_hosts: &Path) -> String {
        let mut words = vec!["ssh".to_owned()];
        if self.port != 22 {
            words.extend(["-p".to_owned(), self.port.to_string()]);
        }
        if let Some(identity) = identity {
            words.extend(["-i".to_owned(), quote(&identity.to_string_lossy())]);
        }
        words.extend(["-o".to_owned(), quote(&format!("HostKeyAlias={}", self.id))]);
        words.extend(["-o".to_owned(), quote(&format!("UserKnownHostsFile={}", known_hosts.display()))]);
        words.push(quote(&format!("{}@{}", self.user, self.address)));
        words.join(" ")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address.contains(':') {
            true => write!(f, "{} ({}@[{}]:{})", self.id, self.user, self.address, self.port),
            false => write!(f, "{} ({}@{}:{})", self.id, self.user, self.address, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_be_pasted() {
        let target =
            Target { id: "i-1".into(), address: "192.0.2.7".into(), port: 2222, user: "ubuntu".into() };
        let line = target.command_line(Some(Path::new("/home/a b/key")), Path::new("/p/.spot/known_hosts"));
        assert_eq!(
            line,
            "ssh -p 2222 -i '/home/a b/key' -o 'HostKeyAlias=i-1' -o 'UserKnownHostsFile=/p/.spot/known_hosts' ubuntu@192.0.2.7"
        );
        assert_eq!(target.to_string(), "i-1 (ubuntu@192.0.2.7:2222)");
    }
}
