//! What an instance has printed on its console.

/// Around the host keys, as cloud-init's module `keys_to_console` prints them at the end of the first boot.
const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
const END: &str = "-----END SSH HOST KEY KEYS-----";

/// The public host keys on a console, as lines of OpenSSH's: those of the latest list that is complete. A list
/// that breaks off may lack the key that counts, so it says nothing.
pub(super) fn host_keys(output: &str) -> Vec<String> {
    let mut latest = Vec::new();
    let mut open: Option<Vec<String>> = None;
    for line in output.lines() {
        if line.contains(BEGIN) {
            open = Some(Vec::new());
        } else if line.contains(END) {
            latest = open.take().unwrap_or(latest);
        } else if let Some(keys) = &mut open {
            keys.extend(key(line));
        }
    }
    latest
}

/// The key of a line, which the kernel or syslog may have put a time or a name before.
fn key(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_type = |word: &str| word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-");
    let at = words.iter().position(|word| is_type(word))?;
    Some(format!("{} {}", words[at], words.get(at + 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_complete_list_counts() {
        let console = "\
            [   21.0] cloud-init[900]: Cloud-init v. 24.1 running 'modules:final'\r\n\
            ci-info: no authorized SSH keys fingerprints found for user root.\r\n\
            -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n\
            256 SHA256:abc root@ip-10-0-0-1 (ED25519)\r\n\
            -----END SSH HOST KEY FINGERPRINTS-----\r\n\
            -----BEGIN SSH HOST KEY KEYS-----\r\n\
            ecdsa-sha2-nistp256 AAAAE2Vj root@ip-10-0-0-1\r\n\
            [   21.3] cloud-init[900]: ssh-ed25519 AAAAC3Nz root@ip-10-0-0-1\r\n\
            [   21.3] random: crng init done\r\n\
            -----END SSH HOST KEY KEYS-----\r\n\
            -----BEGIN SSH HOST KEY KEYS-----\r\n\
            ssh-ed25519 AAAAbroken";
        assert_eq!(host_keys(console), ["ecdsa-sha2-nistp256 AAAAE2Vj", "ssh-ed25519 AAAAC3Nz"]);
        assert!(host_keys("login: ").is_empty());
        assert!(host_keys("-----END SSH HOST KEY KEYS-----\nssh-rsa").is_empty());
    }
}
