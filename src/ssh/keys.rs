//! Private key files: checking, reading, and making a new one.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, PublicKey};

use super::quote;
use crate::error::{Error, Result};

/// Checks that a private key file exists and that nobody but its owner can read it.
///
/// # Errors
/// Kind `config`, code `NoSuchKey` or `KeyPermissions`; the hint is the command that helps.
pub fn check_private(path: &Path) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !metadata.is_file() {
        return Err(Error::config(format!("private key {} is not a file", path.display())));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message =
        format!("private key {} can be read by others (mode {mode:04o}, expected 0600)", path.display());
    Err(Error::config(message)
        .with_code("KeyPermissions")
        .with_hint(format!("chmod 600 {}", quote(&path.to_string_lossy()))))
}

/// What a file that was named as a private key holds.
pub(super) enum Found {
    Open(Box<PrivateKey>),
    /// Protected by a passphrase; the public half is known where the format shows it.
    Encrypted(Option<PublicKey>),
    /// Only the public half: the private one is the agent's.
    Public,
}

/// Reads a private key as far as that goes without a passphrase.
///
/// # Errors
/// As [`check_private`]; code `KeyUnreadable` if it is no key.
pub(super) fn find(path: &Path) -> Result<Found> {
    let text = text(path)?;
    if PublicKey::from_openssh(&text).is_ok() {
        return Ok(Found::Public);
    }
    check_private(path)?;
    if text.contains("-----BEGIN EC PRIVATE KEY-----") && text.contains("ENCRYPTED") {
        return Err(old_format(path));
    }
    match parse(path, &text) {
        Ok(key) if !key.is_encrypted() => Ok(Found::Open(Box::new(key))),
        Ok(key) => Ok(Found::Encrypted(Some(key.public_key().clone()))),
        Err(error) if error.code() == Some("KeyEncrypted") => {
            let beside = fs::read_to_string(public_path(path)).ok();
            Ok(Found::Encrypted(beside.and_then(|line| PublicKey::from_openssh(&line).ok())))
        }
        Err(error) => Err(error),
    }
}

/// Reads a private key with its passphrase; none if that is not it.
///
/// # Errors
/// As [`find`].
pub(super) fn decrypt(path: &Path, passphrase: &str) -> Result<Option<PrivateKey>> {
    check_private(path)?;
    Ok(russh::keys::decode_secret_key(&text(path)?, Some(passphrase)).ok())
}

/// The public half of a private key file as one line for `authorized_keys` or EC2, without a
/// newline: `ssh-ed25519 AAAA… comment`.
///
/// # Errors
/// Kind `config` if the file cannot be read or is no private key.
pub fn public_line(private: &Path) -> Result<String> {
    let key = parse(private, &text(private)?)?;
    key.public_key().to_openssh().map_err(|error| not_a_key(private, &error))
}

/// Makes a new ed25519 key pair: the private key at `path` with mode 0600, the public key beside it
/// with `.pub` appended. Returns the public line, without a newline. Missing folders are created
/// with mode 0700.
///
/// # Errors
/// Kind `config`; code `KeyExists` if there is already a file: a key is never overwritten.
pub fn generate(path: &Path, comment: &str) -> Result<String> {
    if comment.chars().any(char::is_control) {
        return Err(Error::usage("the comment of a key must be a single line"));
    }
    let mut key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
        .map_err(|error| Error::internal(format!("cannot make an ed25519 key: {error}")))?;
    key.set_comment(comment);
    let private = key
        .to_openssh(LineEnding::LF)
        .map_err(|error| Error::internal(format!("cannot write an ed25519 key: {error}")))?;
    let public = key
        .public_key()
        .to_openssh()
        .map_err(|error| Error::internal(format!("cannot write an ed25519 public key: {error}")))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    super::private_file::create_folder(folder).map_err(|error| unwritable(path, &error))?;
    place(folder, path, private.as_bytes(), 0o600)?;
    let beside = public_path(path);
    place(folder, &beside, format!("{public}\n").as_bytes(), 0o644).inspect_err(|_| {
        // Half a pair is worse than none; the error of the public half is the one to tell.
        let _ = fs::remove_file(path);
    })?;
    Ok(public)
}

/// `PATH.pub`: appended, not replacing an extension.
fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

/// Writes a file that appears whole or not at all, and never replaces another.
fn place(folder: &Path, path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let write = || -> io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(".spot-key-").tempfile_in(folder)?;
        file.write_all(content)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    let file = write().map_err(|error| unwritable(path, &error))?;
    file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => Error::config(format!("{} already exists", path.display()))
            .with_code("KeyExists")
            .with_hint("give another path, or remove the file if nothing uses this key any more"),
        _ => unwritable(path, &error.error),
    })?;
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

fn parse(path: &Path, text: &str) -> Result<PrivateKey> {
    match PrivateKey::from_openssh(text) {
        Ok(key) => Ok(key),
        Err(_) if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") => Err(encrypted(path)),
        // Not OpenSSH's own format: PKCS#1, PKCS#8 or SEC1, as `ssh-keygen -m PEM` writes them.
        Err(_) => russh::keys::decode_secret_key(text, None).map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => encrypted(path),
            _ => not_a_key(path, &error),
        }),
    }
}

/// The error of a key whose passphrase nobody told.
pub(super) fn encrypted(path: &Path) -> Error {
    Error::config(format!("private key {} is protected by a passphrase", path.display()))
        .with_code("KeyEncrypted")
        .with_hint(format!("hand it to ssh-agent: ssh-add {}", quote(&path.to_string_lossy())))
}

/// The error of an encrypted format that we do not decrypt.
fn old_format(path: &Path) -> Error {
    encrypted(path).with_hint(format!(
        "its format is an old one: ssh-keygen -p -f {} writes it anew",
        quote(&path.to_string_lossy())
    ))
}

fn not_a_key(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::config(format!("{} is not a private key that can be read: {error}", path.display()))
        .with_code("KeyUnreadable")
        .with_hint("expected a file as `ssh-keygen -t ed25519` writes it")
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::config(format!("private key {} does not exist", path.display()))
            .with_code("NoSuchKey")
            .with_hint(format!("ssh-keygen -t ed25519 -f {}", quote(&path.to_string_lossy())));
    }
    Error::config(format!("cannot read private key {}: {error}", path.display())).with_code("KeyUnreadable")
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::config(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_generated_key_is_private_and_understood_by_openssh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/id_spot");
        let line = generate(&path, "spot test").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("new")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(folder.path().join("new/id_spot.pub")).unwrap(), format!("{line}\n"));
        let derived = Command::new("ssh-keygen").arg("-y").arg("-f").arg(&path).output().unwrap();
        assert_eq!(String::from_utf8(derived.stdout).unwrap().trim_end(), line);
        assert!(line.ends_with(" spot test"));
        assert_eq!(public_line(&path).unwrap(), line);
        check_private(&path).unwrap();
        assert!(matches!(find(&path).unwrap(), Found::Open(_)));
        assert!(matches!(find(&public_path(&path)).unwrap(), Found::Public));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        generate(&path, "").unwrap();
        let before = fs::read(&path).unwrap();
        assert_eq!(generate(&path, "").unwrap_err().code(), Some("KeyExists"));
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::remove_file(&path).unwrap();
        assert_eq!(generate(&path, "").unwrap_err().code(), Some("KeyExists"), "the .pub is in the way");
        assert!(!path.exists(), "no half pair is left");
    }

    #[test]
    fn a_key_readable_by_others_is_refused_with_the_exact_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        generate(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = check_private(&path).unwrap_err();
        assert_eq!(error.code(), Some("KeyPermissions"));
        assert_eq!(error.hint(), Some(format!("chmod 600 {}", path.display()).as_str()));
    }

    #[test]
    fn keys_of_every_format_are_read_and_their_passphrases_tried() {
        let folder = tempfile::tempdir().unwrap();
        for kind in ["ed25519", "ecdsa", "rsa"] {
            for format in ["RFC4716", "PEM", "PKCS8"] {
                if kind == "ed25519" && format != "RFC4716" {
                    // OpenSSH writes these keys in its own format only.
                    continue;
                }
                for passphrase in ["", "secret phrase"] {
                    let path = folder.path().join(format!("{kind}-{format}-{}", passphrase.len()));
                    let mut command = Command::new("ssh-keygen");
                    command.args(["-q", "-t", kind, "-m", format, "-N", passphrase, "-f"]).arg(&path);
                    assert!(command.status().unwrap().success());
                    let public = fs::read_to_string(public_path(&path)).unwrap();
                    let public = PublicKey::from_openssh(&public).unwrap();
                    let same = |key: &PrivateKey| key.public_key().key_data() == public.key_data();
                    if (kind, format, passphrase.is_empty()) == ("ecdsa", "PEM", false) {
                        let error = find(&path).err().unwrap();
                        assert_eq!(error.code(), Some("KeyEncrypted"));
                        assert!(error.hint().unwrap().contains("ssh-keygen -p -f"), "{error:?}");
                        continue;
                    }
                    match find(&path).unwrap() {
                        Found::Open(key) => assert!(passphrase.is_empty() && same(&key), "{path:?}"),
                        Found::Encrypted(found) => {
                            assert!(!passphrase.is_empty(), "{path:?}");
                            assert_eq!(found.unwrap().key_data(), public.key_data(), "{path:?}");
                            assert!(decrypt(&path, "wrong").unwrap().is_none(), "{path:?}");
                            let decrypted = decrypt(&path, passphrase).unwrap();
                            assert!(decrypted.as_ref().is_some_and(same), "{path:?}");
                        }
                        Found::Public => panic!("{path:?}"),
                    }
                }
            }
        }
        assert!(encrypted(Path::new("/k")).hint().unwrap().contains("ssh-add /k"));
    }

    #[test]
    fn missing_and_broken_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        assert_eq!(find(&path).err().unwrap().code(), Some("NoSuchKey"));
        fs::write(&path, "hello").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(find(&path).err().unwrap().code(), Some("KeyUnreadable"));
    }
}
