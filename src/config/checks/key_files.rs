//! The SSH key files: there, readable by the owner alone, of the right kind, and a pair.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::paths::{quoted, start_of};
use crate::config::place::Place;
use crate::config::report::Report;
use crate::config::source::Span;
use crate::config::tree::Located;

/// No key file is longer.
const LONGEST_KEY: u64 = 64 * 1024;

/// The private and the public key file: both, or none. One of the two implies the other beside it
/// (`KEY` and `KEY.pub`).
pub(in super::super) fn pair(
    report: &Report,
    place: &Place,
    private: Option<Located<String>>,
    public: Option<Located<String>>,
) -> Option<(PathBuf, PathBuf)> {
    let resolved = |written: &Located<String>| Located::new(place.resolve(&written.value), written.span);
    let (private, public) = match (private.as_ref().map(resolved), public.as_ref().map(resolved)) {
        (None, None) => return None,
        (Some(private), Some(public)) => (private, public),
        (Some(private), None) => {
            let beside = Located::new(with_pub(&private.value), private.span);
            (private, beside)
        }
        (None, Some(public)) => {
            if public.value.extension().is_none_or(|extension| extension != "pub") {
                let hint = "set `private_key` too".to_owned();
                report.error(public.span, "a public key is given, but no private key", Some(hint));
                return None;
            }
            (Located::new(public.value.with_extension(""), public.span), public)
        }
    };
    if private.value == public.value {
        let hint = format!("the public key is in {}", quoted(&with_pub(&private.value)));
        report.error(public.span, "the private and the public key are the same file", Some(hint));
        return None;
    }
    let private_key = private_key(report, &private);
    let public_key = public_key(report, &public, &private.value, private_key.is_some());
    let (private_key, public_key) = (private_key?, public_key?);
    if public_part(&private_key).is_some_and(|part| part != public_key) {
        let message =
            format!("{} is not the public key of {}", public.value.display(), private.value.display());
        report.error(public.span, message, Some(derive(&private.value, &public.value)));
        return None;
    }
    Some((private.value, public.value))
}

/// The text of a usable private key file.
fn private_key(report: &Report, key: &Located<PathBuf>) -> Option<String> {
    let shown = key.value.display();
    let text =
        read(report, key, "private", || format!("ssh-keygen -t ed25519 -f {} -N ''", quoted(&key.value)))?;
    if is_public(&text) {
        let hint = key.value.extension().is_some_and(|extension| extension == "pub");
        let hint = hint.then(|| format!("did you mean {}?", quoted(&key.value.with_extension(""))));
        report.error(key.span, format!("{shown} is a public key, expected the private one"), hint);
        return None;
    }
    if text.starts_with("PuTTY-User-Key-File") {
        let path = quoted(&key.value);
        let hint = format!("puttygen {path} -O private-openssh -o {path}.pem");
        report.error(key.span, format!("{shown} is a PuTTY key, expected an OpenSSH key"), Some(hint));
        return None;
    }
    if !is_private(&text) {
        report.error(key.span, format!("{shown} is not a private key"), None);
        return None;
    }
    is_private_to_owner(report, key).then_some(text)
}

/// The algorithm-and-key part of a usable public key file.
fn public_key(report: &Report, key: &Located<PathBuf>, private: &Path, has_private: bool) -> Option<Vec<u8>> {
    let shown = key.value.display();
    if !has_private && !key.value.exists() {
        // Making the private key makes this one too: one report is enough.
        return None;
    }
    let text = read(report, key, "public", || derive(private, &key.value))?;
    if is_private(&text) {
        let hint = format!("did you mean {}?", quoted(&with_pub(&key.value)));
        report.error(key.span, format!("{shown} is a private key, expected the public one"), Some(hint));
        return None;
    }
    let blob = public_blob(&text);
    if blob.is_none() {
        let message =
            format!("{shown} is not an OpenSSH public key, expected a line such as `ssh-ed25519 AAAA…`");
        report.error(key.span, message, Some(derive(private, &key.value)));
    }
    blob
}

fn read(report: &Report, key: &Located<PathBuf>, kind: &str, make: impl Fn() -> String) -> Option<String> {
    let shown = key.value.display();
    let (message, hint) = match start_of(&key.value, LONGEST_KEY) {
        Ok(bytes) => return Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (format!("the {kind} key file {shown} does not exist"), Some(make()))
        }
        Err(error) => (format!("the {kind} key file {shown} cannot be read: {error}"), None),
    };
    report.error(key.span, message, hint);
    None
}

#[cfg(unix)]
fn is_private_to_owner(report: &Report, key: &Located<PathBuf>) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = key.value.metadata() else { return true };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message =
            format!("the private key file {} is open to other users (mode {mode:04o})", key.value.display());
        report.error(key.span, message, Some(format!("chmod 600 {}", quoted(&key.value))));
    }
    mode & 0o077 == 0
}

#[cfg(not(unix))]
fn is_private_to_owner(_report: &Report, _key: &Located<PathBuf>) -> bool {
    true
}

fn derive(private: &Path, public: &Path) -> String {
    format!("ssh-keygen -y -f {} > {}", quoted(private), quoted(public))
}

fn with_pub(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn is_private(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----")
}

fn is_public(text: &str) -> bool {
    public_blob(text).is_some() || text.trim_start().starts_with("---- BEGIN SSH2 PUBLIC KEY")
}

/// The key itself of the first line that is one: `ALGORITHM BASE64 [COMMENT]`.
fn public_blob(text: &str) -> Option<Vec<u8>> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let mut words = line.split_ascii_whitespace();
    let algorithm = words.next()?;
    let blob = STANDARD.decode(words.next()?).ok()?;
    (field(&blob)?.0 == algorithm.as_bytes()).then_some(blob)
}

/// The public half that an OpenSSH private key file has in clear, also when it is encrypted.
fn public_part(text: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix("-----BEGIN OPENSSH PRIVATE KEY-----")?;
    let body: String = body.split("-----END").next()?.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(body).ok()?;
    let (_cipher, rest) = field(bytes.strip_prefix(b"openssh-key-v1\0")?)?;
    let (_kdf, rest) = field(rest)?;
    let (_options, rest) = field(rest)?;
    // The number of keys comes before the keys; it is one.
    Some(field(rest.get(4..)?)?.0.to_vec())
}

/// A length-prefixed field, and what follows it.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Reports a key that is set to nothing usable, for formats in which it may be empty.
pub(in super::super) fn is_given(report: &Report, key: &'static str, written: &Located<String>) -> bool {
    if !written.value.trim().is_empty() {
        return true;
    }
    let span: Span = written.span;
    report.error(
        span,
        format!("`{key}` is empty"),
        Some("leave it out: the project gets a key of its own".to_owned()),
    );
    false
}
