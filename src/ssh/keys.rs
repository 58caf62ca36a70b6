//! Private key files: checking, reading, and making a new one.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

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

/// Reads a private key.
///
/// # Errors
/// As [`check_private`]; code `KeyEncrypted` if it has a passphrase, `KeyUnreadable` if it is no key.
pub(super) fn load(path: &Path) -> Result<PrivateKey> {
    check_private(path)?;
    let key = read(path)?;
    if !key.is_encrypted() {
        return Ok(key);
    }
    Err(encrypted(path))
}

/// The public half of a private key file as one line for `authorized_keys` or EC2, without a
/// newline: `ssh-ed25519 AAAA… comment`.
///
/// # Errors
/// Kind `config` if the file cannot be read or is no private key.
pub fn public_line(private: &Path) -> Result<String> {
    let key = read(private)?;
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

fn read(path: &Path) -> Result<PrivateKey> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    match PrivateKey::from_openssh(&text) {
        Ok(key) => Ok(key),
        // Not OpenSSH's own format: PKCS#1, PKCS#8 or SEC1, as `ssh-keygen -m PEM` writes them.
        Err(_) => russh::keys::decode_secret_key(&text, None).map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => encrypted(path),
            _ => not_a_key(path, &error),
        }),
    }
}

fn encrypted(path: &Path) -> Error {
    Error::config(format!("private key {} is protected by a passphrase", path.display()))
        .with_code("KeyEncrypted")
        .with_hint(format!("hand it to ssh-agent: ssh-add {}", quote(&path.to_string_lossy())))
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
        load(&path).unwrap();
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
    fn an_encrypted_key_points_to_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        for (name, options) in [("new", &["-t", "ed25519"][..]), ("pem", &["-t", "rsa", "-m", "PEM"][..])] {
            let path = folder.path().join(name);
            let status = Command::new("ssh-keygen")
                .args(["-q", "-N", "secret phrase", "-f"])
                .arg(&path)
                .args(options)
                .status();
            assert!(status.unwrap().success());
            let error = load(&path).unwrap_err();
            assert_eq!(error.code(), Some("KeyEncrypted"), "{name}: {error}");
            assert!(error.hint().unwrap().contains("ssh-add"));
        }
    }

    #[test]
    fn missing_and_broken_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id");
        assert_eq!(load(&path).unwrap_err().code(), Some("NoSuchKey"));
        fs::write(&path, "hello").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(load(&path).unwrap_err().code(), Some("KeyUnreadable"));
    }
}
