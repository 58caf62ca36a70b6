//! The keys we have: each file is read once in a run, and each passphrase asked for once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::{Certificate, PrivateKey, PublicKey};
use tokio::sync::Mutex;

use super::authentication::identities_of;
use super::keys::{self, Found};
use super::passphrase::Passphrases;
use super::route::Credentials;
use crate::error::{Error, Kind, Result};

/// How often a passphrase may be mistyped.
const TRIES: usize = 3;

/// The private keys of this run.
pub struct Keyring {
    passphrases: Option<Passphrases>,
    /// Held while a file is read, and while somebody thinks about its passphrase: others wait.
    files: Mutex<HashMap<PathBuf, Result<Arc<Identity>>>>,
}

/// A key file that was read.
pub struct Identity {
    pub path: PathBuf,
    pub key: Arc<PrivateKey>,
    /// `PATH-cert.pub`, if there is one.
    certificate: Option<Certificate>,
}

/// The keys for one login.
#[derive(Default)]
pub struct Loaded {
    pub identities: Vec<Arc<Identity>>,
    certificates: Vec<Certificate>,
    /// Files that are there but could not be decrypted; perhaps the agent holds them.
    pub unusable: Vec<Error>,
    missing: Vec<Error>,
    /// The public halves of all files that were named.
    named: Vec<PublicKey>,
}

impl Keyring {
    /// A ring without keys yet. Passphrases are asked of nobody unless somebody is named.
    pub fn new(passphrases: Option<Passphrases>) -> Self {
        Keyring { passphrases, files: Mutex::new(HashMap::new()) }
    }

    /// Reads the keys for a login. This comes before connecting: a server waits less patiently than
    /// a person types.
    ///
    /// # Errors
    /// Those of [`keys::load`], for files that are there and cannot be used; `interrupted`.
    pub async fn load(&self, credentials: &Credentials) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut held = None;
        let mut files = self.files.lock().await;
        for path in &credentials.identities {
            let public = public_half(path);
            loaded.named.extend(public.clone());
            if !files.contains_key(path) {
                let result = match keys::find(path) {
                    Ok(Found::Open(key)) => Ok(*key),
                    Ok(Found::Public) => Err(keys::encrypted(path)),
                    Ok(Found::Encrypted(public)) => {
                        if held.is_none() {
                            held = Some(held_by(credentials.agent.as_deref()).await);
                        }
                        let held = held.as_deref().unwrap_or_default();
                        let in_agent = public
                            .is_some_and(|public| held.iter().any(|key| key.key_data() == public.key_data()));
                        match in_agent {
                            true => Err(keys::encrypted(path)),
                            false => self.decrypt(path).await,
                        }
                    }
                    Err(error) => Err(error),
                };
                if result.as_ref().is_err_and(|error| error.kind() == Kind::Interrupted) {
                    return Err(Error::interrupted());
                }
                files.insert(path.clone(), result.map(|key| Arc::new(Identity::new(path, key))));
            }
            match files.get(path) {
                Some(Ok(identity)) => {
                    loaded.named.push(identity.key.public_key().clone());
                    loaded.identities.push(Arc::clone(identity));
                }
                Some(Err(error)) if error.code() == Some("KeyEncrypted") => {
                    loaded.unusable.push(error.clone())
                }
                Some(Err(error)) if error.code() == Some("NoSuchKey") => loaded.missing.push(error.clone()),
                Some(Err(error)) => return Err(error.clone()),
                None => {}
            }
        }
        for path in &credentials.certificates {
            loaded.certificates.push(certificate(path).map_err(|error| {
                Error::config(format!("{} is not a certificate that can be read: {error}", path.display()))
                    .with_code("KeyUnreadable")
            })?);
        }
        loaded.certificates.extend(loaded.identities.iter().filter_map(|own| own.certificate.clone()));
        Ok(loaded)
    }

    async fn decrypt(&self, path: &Path) -> Result<PrivateKey> {
        let Some(passphrases) = self.passphrases.clone() else { return Err(keys::encrypted(path)) };
        let path = path.to_owned();
        let ask = move || {
            for attempt in 0..TRIES {
                let again = if attempt == 0 { "" } else { ", that was not it" };
                let question = format!("passphrase of {}{again}", path.display());
                let passphrase = match passphrases.ask(&question) {
                    Ok(passphrase) if passphrase.is_empty() => return Err(keys::encrypted(&path)),
                    Ok(passphrase) => passphrase,
                    Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                    // Nobody is there to ask.
                    Err(_) => return Err(keys::encrypted(&path)),
                };
                if let Some(key) = keys::decrypt(&path, &passphrase)? {
                    return Ok(key);
                }
            }
            Err(keys::encrypted(&path))
        };
        tokio::task::spawn_blocking(ask)
            .await
            .map_err(|error| Error::internal(format!("reading a private key failed: {error}")))?
    }
}

impl Identity {
    fn new(path: &Path, key: PrivateKey) -> Self {
        let mut beside = path.as_os_str().to_owned();
        beside.push("-cert.pub");
        Identity {
            path: path.to_owned(),
            key: Arc::new(key),
            certificate: certificate(Path::new(&beside)).ok(),
        }
    }
}

impl Loaded {
    /// The certificates of a key.
    pub fn certificates_of(&self, key: &PublicKey) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().filter(move |certificate| certificate.public_key() == key.key_data())
    }

    /// Whether a key is one of the files that were named.
    pub fn names(&self, key: &PublicKey) -> bool {
        self.named.iter().any(|named| named.key_data() == key.key_data())
    }

    /// The error of a login that had nothing to offer.
    pub fn no_key(&self, agent_problem: Option<String>) -> Error {
        if let Some(error) = self.unusable.first().or(self.missing.first()) {
            return error.clone();
        }
        let mut message = "there is no key to log in with".to_owned();
        if let Some(problem) = agent_problem {
            message.push_str(&format!("; {problem}"));
        }
        Error::config(message)
            .with_code("NoKey")
            .with_hint("name a private key file, or add one to ssh-agent: ssh-add ~/.ssh/id_ed25519")
    }
}

/// The keys that an agent holds; none if it does not answer.
async fn held_by(agent: Option<&Path>) -> Vec<PublicKey> {
    let Some(socket) = agent else { return Vec::new() };
    let Ok((_, identities)) = identities_of(socket).await else { return Vec::new() };
    let keys = identities.into_iter().filter_map(|identity| match identity {
        AgentIdentity::PublicKey { key, .. } => Some(key),
        AgentIdentity::Certificate { .. } => None,
    });
    keys.collect()
}

/// The public key beside a private one, or in its place.
fn public_half(path: &Path) -> Option<PublicKey> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let read = |path: &Path| PublicKey::from_openssh(&std::fs::read_to_string(path).ok()?).ok();
    read(Path::new(&beside)).or_else(|| read(path))
}

fn certificate(path: &Path) -> Result<Certificate, russh::keys::ssh_key::Error> {
    russh::keys::load_openssh_certificate(path)
}
