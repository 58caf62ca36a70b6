//! The part of cloud-init's `#cloud-config` that the sandbox carries out.

use base64::Engine;
use saphyr::{LoadableYamlNode, Scalar, Yaml};

use super::user_data::decompress;
use crate::error::{Error, Result};

/// A `#cloud-config` document.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CloudConfig {
    /// `ssh_authorized_keys`: keys of the main account.
    pub(super) authorized_keys: Vec<String>,
    /// `users`: further accounts with their keys.
    pub(super) users: Vec<User>,
    /// `write_files`.
    pub(super) files: Vec<FileToWrite>,
    /// `packages`.
    pub(super) packages: Vec<String>,
    /// `bootcmd` as one shell script; empty if there is none.
    pub(super) boot_commands: String,
    /// `runcmd` as one shell script; empty if there is none.
    pub(super) commands: String,
}

/// An account of `users`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct User {
    /// Its name, safe as a file name.
    pub(super) name: String,
    /// Its public keys in OpenSSH format.
    pub(super) authorized_keys: Vec<String>,
}

/// An entry of `write_files`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileToWrite {
    /// The absolute path inside the host.
    pub(super) path: String,
    /// The content, decoded.
    pub(super) content: Vec<u8>,
    /// The permissions as octal digits.
    pub(super) permissions: String,
    /// Whether the content is added to what the file holds.
    pub(super) append: bool,
}

impl CloudConfig {
    /// Understands a document; keys that the sandbox does not carry out are left alone, as
    /// cloud-init does with keys of modules it lacks.
    ///
    /// # Errors
    /// When it is no YAML or a known key has a value of the wrong shape.
    pub(super) fn parse(text: &str) -> Result<CloudConfig> {
        let documents = Yaml::load_from_str(text)
            .map_err(|error| Error::config(format!("the cloud-config is not valid YAML: {error}")))?;
        let Some(document) = documents.first() else { return Ok(CloudConfig::default()) };
        if matches!(document, Yaml::Value(Scalar::Null)) {
            return Ok(CloudConfig::default());
        }
        if document.as_mapping().is_none() {
            return Err(expected("the cloud-config", "keys and values"));
        }
        let mut config = CloudConfig {
            authorized_keys: strings(document, "ssh_authorized_keys")?,
            boot_commands: script(document, "bootcmd")?,
            commands: script(document, "runcmd")?,
            ..CloudConfig::default()
        };
        for entry in entries(document, "users")? {
            config.users.extend(user(entry)?);
        }
        for entry in entries(document, "write_files")? {
            config.files.push(file(entry)?);
        }
        for entry in entries(document, "packages")? {
            // `- [name, version]` asks for a version.
            let name = entry.as_sequence().and_then(|pair| pair.first()).unwrap_or(entry);
            config.packages.push(text_of(name).ok_or_else(|| expected("packages", "a list of names"))?);
        }
        Ok(config)
    }
}

fn user(entry: &Yaml) -> Result<Option<User>> {
    let name = match entry.as_mapping_get("name").or(Some(entry)).and_then(text_of) {
        Some(name) => name,
        None => return Err(expected("users", "names, or entries with a name")),
    };
    if name == "default" {
        return Ok(None);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 32 || name.starts_with(['-', '.']) || !name.chars().all(allowed) {
        return Err(Error::config(format!("users: `{name}` is not a valid user name")));
    }
    let mut authorized_keys = strings(entry, "ssh_authorized_keys")?;
    authorized_keys.extend(strings(entry, "ssh-authorized-keys")?);
    Ok(Some(User { name, authorized_keys }))
}

fn file(entry: &Yaml) -> Result<FileToWrite> {
    let path = entry
        .as_mapping_get("path")
        .and_then(text_of)
        .ok_or_else(|| expected("write_files", "a path in each entry"))?;
    if !path.starts_with('/') {
        return Err(Error::config(format!("write_files: `{path}` is not an absolute path")));
    }
    let content = entry.as_mapping_get("content").and_then(text_of).unwrap_or_default();
    let encoding = entry.as_mapping_get("encoding").and_then(text_of).unwrap_or_default();
    let content =
        decode(content, &encoding).map_err(|error| error.context(format!("write_files: {path}")))?;
    // 0644 without quotes is a number to YAML; what was meant are its digits.
    let permissions =
        entry.as_mapping_get("permissions").and_then(text_of).unwrap_or_else(|| "0644".to_string());
    let permissions = permissions.trim_start_matches("0o").to_string();
    if permissions.is_empty()
        || permissions.len() > 5
        || !permissions.bytes().all(|digit| (b'0'..b'8').contains(&digit))
    {
        return Err(Error::config(format!("write_files: {path}: permissions `{permissions}` are not octal"))
            .with_hint("write them like `permissions: '0644'`"));
    }
    let append = entry.as_mapping_get("append").and_then(Yaml::as_bool).unwrap_or(false);
    Ok(FileToWrite { path, content, permissions, append })
}

fn decode(content: String, encoding: &str) -> Result<Vec<u8>> {
    let base64 = |text: &str| {
        let text: String = text.split_whitespace().collect();
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .map_err(|error| Error::config("the content is not valid base64").with_source(error))
    };
    match encoding {
        "" | "text/plain" => Ok(content.into_bytes()),
        "b64" | "base64" => base64(&content),
        // Text cannot hold gzip data as it is, so in practice it comes in base64 too.
        "gz" | "gzip" | "gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64" => decompress(&base64(&content)?),
        other => Err(Error::config(format!("unknown encoding `{other}`")).with_hint("use `b64` or `gz+b64`")),
    }
}

/// A list of commands as the shell script that cloud-init makes of it: strings as they are, lists
/// with every word quoted.
fn script(document: &Yaml, key: &str) -> Result<String> {
    let mut script = String::new();
    for entry in entries(document, key)? {
        if matches!(entry, Yaml::Value(Scalar::Null)) {
            continue;
        }
        let line = match entry.as_sequence() {
            Some(words) => words
                .iter()
                .map(|word| text_of(word).map(|word| quoted(&word)))
                .collect::<Option<Vec<_>>>()
                .map(|words| words.join(" ")),
            None => text_of(entry),
        };
        script += &line.ok_or_else(|| expected(key, "commands as text or as lists of words"))?;
        script.push('\n');
    }
    Ok(script)
}

/// A word in single quotes for a shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn entries<'a, 'input>(document: &'a Yaml<'input>, key: &str) -> Result<&'a [Yaml<'input>]> {
    match document.as_mapping_get(key) {
        None | Some(Yaml::Value(Scalar::Null)) => Ok(&[]),
        Some(Yaml::Sequence(entries)) => Ok(entries),
        Some(_) => Err(expected(key, "a list")),
    }
}

fn strings(document: &Yaml, key: &str) -> Result<Vec<String>> {
    entries(document, key)?
        .iter()
        .map(|entry| text_of(entry).ok_or_else(|| expected(key, "a list of texts")))
        .collect()
}

/// A scalar as text, numbers and booleans included.
fn text_of(value: &Yaml) -> Option<String> {
    match value {
        Yaml::Value(Scalar::String(text)) => Some(text.to_string()),
        Yaml::Value(Scalar::Integer(number)) => Some(number.to_string()),
        Yaml::Value(Scalar::FloatingPoint(number)) => Some(number.to_string()),
        Yaml::Value(Scalar::Boolean(value)) => Some(value.to_string()),
        Yaml::Tagged(_, value) => text_of(value),
        _ => None,
    }
}

fn expected(what: &str, shape: &str) -> Error {
    Error::config(format!("{what}: expected {shape}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_the_sandbox_carries_out_is_found() {
        let config = CloudConfig::parse(
            "#cloud-config
ssh_authorized_keys: [ssh-ed25519 AAA a]
package_update: true
users:
  - default
  - name: deploy
    sudo: ALL=(ALL) NOPASSWD:ALL
    ssh_authorized_keys: [ssh-ed25519 BBB b]
packages: [nginx, [git, '2.0']]
write_files:
  - path: /etc/app.conf
    content: |
      a: 1
    permissions: '0600'
  - {path: /opt/b, content: aGVsbG8=, encoding: b64, permissions: 0755, append: true}
runcmd:
  - echo $HOME > /tmp/x
  - [echo, it's, 3]
",
        )
        .unwrap();
        assert_eq!(config.authorized_keys, ["ssh-ed25519 AAA a"]);
        assert_eq!(config.users.len(), 1);
        assert_eq!(config.users[0].name, "deploy");
        assert_eq!(config.users[0].authorized_keys, ["ssh-ed25519 BBB b"]);
        assert_eq!(config.packages, ["nginx", "git"]);
        assert_eq!(config.files[0].content, b"a: 1\n");
        assert_eq!(config.files[0].permissions, "0600");
        assert_eq!(config.files[1].content, b"hello");
        assert_eq!(config.files[1].permissions, "755");
        assert!(config.files[1].append);
        assert_eq!(config.commands, "echo $HOME > /tmp/x\n'echo' 'it'\\''s' '3'\n");
    }

    #[test]
    fn an_empty_document_asks_for_nothing() {
        assert_eq!(CloudConfig::parse("#cloud-config\n").unwrap(), CloudConfig::default());
        assert_eq!(CloudConfig::parse("#cloud-config\nruncmd:\n").unwrap(), CloudConfig::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("runcmd: ls", "runcmd"),
            ("- a", "keys and values"),
            ("a: [", "YAML"),
            ("write_files: [{content: a}]", "path"),
            ("write_files: [{path: a}]", "absolute"),
            ("write_files: [{path: /a, permissions: rwx}]", "octal"),
            ("write_files: [{path: /a, encoding: zip}]", "zip"),
            ("users: [{name: ../x}]", "../x"),
            ("runcmd: [{a: b}]", "runcmd"),
        ] {
            let error = CloudConfig::parse(text).unwrap_err();
            assert!(error.message().contains(named), "{text}: {error}");
        }
    }
}
